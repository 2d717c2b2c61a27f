"""Read the latest finished run of examples/digits.py back: any program can, at any time later.

python examples/read_back.py
"""

from metaflow import Flow

run = Flow("DigitsFlow").latest_successful_run
best = run.data

print(f"{run.pathspec}, finished {run.finished_at:%Y-%m-%d %H:%M:%S}")
print()
for score, kind, options in best.board:
    print(f"  {score:6.1%}  {kind:20} {options}")
print()
print(f"Best: {best.best_kind} {best.best_options}")
print(f"Unseen digits read correctly: {best.accuracy:.1%} of {len(best.test_y)}.")

mistakes = [
    (int(count), truth, guess)
    for truth, row in enumerate(best.confusion)
    for guess, count in enumerate(row)
    if truth != guess and count
]
for count, truth, guess in sorted(mistakes, reverse=True)[:3]:
    print(f"  took a {truth} for a {guess}: {count}x")

print(f"Tasks of step 'train': {', '.join(sorted(task.id for task in run['train']))}")
