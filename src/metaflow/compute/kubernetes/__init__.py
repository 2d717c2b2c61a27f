"""Jobs on Kubernetes: the backend that runs each task as a Job of one pod.

What a job looks like is pure (`manifest`), and so is what a pod's state means (`pods`, `endings`) and whether a node
can take a request (`fit`). `api` speaks to the cluster and is the only module that knows HTTP. Start reading at
`backend.KubernetesBackend`.
"""
