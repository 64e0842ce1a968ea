# SPDX-License-Identifier: BSL-1.0
"""Objects of every size: a tree of nodes, dictionaries of strings, lists that grow, big numbers."""


class Node:
    def __init__(self, depth):
        self.left = Node(depth - 1) if depth else None
        self.right = Node(depth - 1) if depth else None
        self.name = f"node at depth {depth}"

    def count(self):
        return 1 + (self.left.count() + self.right.count() if self.left else 0)


def count_words(lines):
    counts = {}
    for number in range(lines):
        for word in f"line {number} has the words {number % 97} and {number * 7919 % 1009}".split():
            counts[word] = counts.get(word, 0) + 1
    return sum(len(word) * count for word, count in counts.items())


def factorial(n):
    product = 1
    for factor in range(2, n):
        product *= factor
    return product % 1_000_000_007


def grow(lists):
    rows = [[] for _ in range(lists)]
    for number in range(lists * 40):
        rows[number * 7919 % lists].append(str(number) * (number % 5))
    return sum(len(text) for row in rows for text in row)


print(sum(Node(14).count() for _ in range(4)), count_words(60_000), factorial(2_500), grow(5_000))
