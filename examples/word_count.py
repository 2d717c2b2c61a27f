"""Count the words of a file: the file travels with the run, and each paragraph is counted by a task of its own.

`IncludeFile` reads the file once, when the run starts; the steps, and whoever reads the run later, see that content
even if the file has changed since. The text here is Lincoln's address at Gettysburg, 1863.

    python examples/word_count.py run
    python examples/word_count.py run --text README.md --longer-than 6
"""

import os
import re
from collections import Counter

from metaflow import FlowSpec, IncludeFile, Parameter, step

ADDRESS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gettysburg.txt")


class WordCountFlow(FlowSpec):
    """Split a text into paragraphs, count each, and add the counts up."""

    text = IncludeFile("text", default=ADDRESS, help="the text file to count")
    longer_than = Parameter("longer-than", default=3, help="leave out words of this many letters or fewer")

    @step
    def start(self):
        self.paragraphs = [paragraph for paragraph in self.text.split("\n\n") if paragraph.strip()]
        self.next(self.count, foreach="paragraphs")

    @step
    def count(self):
        words = re.findall(r"[^\W\d_]+", self.input.lower())
        self.words = Counter(word for word in words if len(word) > self.longer_than)
        self.next(self.add_up)

    @step
    def add_up(self, inputs):
        self.words = sum((task.words for task in inputs), Counter())
        self.next(self.end)

    @step
    def end(self):
        for word, count in self.words.most_common(5):
            print(f"{count:4} {word}")


if __name__ == "__main__":
    WordCountFlow()
