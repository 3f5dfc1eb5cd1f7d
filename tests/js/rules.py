# SPDX-License-Identifier: Apache-2.0
"""Random rules of the targeting language and data for them: every operation of JsonLogic in every place, over values at which implementations differ."""

TEXTS = ["", " ", "0", "1", "-1", "1.5", " 12 ", "0x1F", "0b11", "0o17", "1e3", "1e", ".5", "5.", "-", "+2", "Infinity", "-Infinity", "NaN", "abc", "abd", "a", "B", "true", "null", "12abc", "1,2", "3,",
         "[object Object]", "\u00a07\u2003", "\n8\t", "k\u00e4se", "\u65e5\u672c\u8a9e", "a\U0001f600b", "\uff5e", "x.y", "1_000", "--1", "1.2.3", "\u0000".replace("\u0000", "z")]
NUMBERS = [0, 1, -1, 2, 3, 10, 0.5, -0.25, 1.5, 100, 1e21, 1e-7, 123456789012, 0.1, 7, -3]
NAMES = ["a", "b", "c", "list", "texts", "people", "deep", "a.b", "deep.x", "deep.x.y", "list.0", "list.1", "people.0.name", "people.1", "texts.2", "none", "deep..", "", "1", "0"]
ITEM_NAMES = ["", "name", "age", "tags", "tags.0", "x", "0", "1"]
REDUCE_NAMES = ["current", "accumulator", "current.age", "current.name", "accumulator.0", "", "x"]


class Rules:
    """A source of rules whose randomness is the caller's."""

    def __init__(self, random):
        self.random = random

    def pick(self, options):
        return self.random.choice(options)

    # ---- values

    def scalar(self):
        kind = self.random.randrange(8)
        if kind < 3:
            return self.pick(NUMBERS)
        return self.pick(TEXTS) if kind < 6 else self.pick([None, True, False])

    def value(self, depth=2):
        if depth == 0 or self.random.random() < 0.7:
            return self.scalar()
        return [self.value(depth - 1) for _ in range(self.random.randrange(4))]

    def data(self):
        random = self.random
        people = [{"name": self.pick(TEXTS), "age": self.scalar(), "tags": [self.scalar() for _ in range(random.randrange(3))]} for _ in range(random.randrange(4))]
        # JavaScript puts names that are numbers first.
        data = {"1": self.scalar(), "a": self.value(), "b": self.value(), "list": [self.value(1) for _ in range(random.randrange(6))], "texts": [self.pick(TEXTS) for _ in range(random.randrange(5))],
                "people": people, "deep": {"x": {"y": self.value()}, "": {"": 1}}, "keys": [self.pick(NAMES) for _ in range(3)]}
        for name in random.sample(list(data), random.randrange(4)):
            if name != "keys":
                del data[name]
        return data

    # ---- rules

    def rules(self, least, most, depth, names):
        return [self.rule(depth, names) for _ in range(self.random.randint(least, most))]

    def one(self, depth, names):
        """The arguments of a unary operation, in either form; a list as such must stand in a list."""
        rule = self.rule(depth, names)
        return [rule] if isinstance(rule, list) or self.random.random() < 0.5 else rule

    def rule(self, depth, names=NAMES):
        if depth <= 0 or self.random.random() < 0.15:
            return self.var(0, names) if self.random.random() < 0.5 else self.value()
        if self.random.random() < 0.05:
            return self.rules(0, 3, depth - 1, names)
        name = self.pick(sorted(self.MAKERS))
        return {name: self.MAKERS[name](self, depth - 1, names)} if name != "var" else self.var(depth - 1, names)

    def var(self, depth, names):
        path = self.pick(names)
        if depth > 0 and self.random.random() < 0.2:
            path = {"cat": [path, self.pick(["", ".", ".0", ".x"])]} if self.random.random() < 0.5 else {"if": [self.rule(depth - 1, names), path, self.pick(names)]}
        if path.__class__ is str and path in ("0", "1") and self.random.random() < 0.5:
            path = int(path)
        if self.random.random() < 0.3:
            return {"var": [path, self.rule(depth, names)]}
        return {"var": [path] if self.random.random() < 0.3 else path}

    def comparison(self, depth, names):
        return self.rules(2, 2, depth, names)

    def between(self, depth, names):
        return self.rules(2, 3, depth, names)

    def unary(self, depth, names):
        return self.one(depth, names)

    def some_rules(self, depth, names):
        return self.rules(1, 4, depth, names)

    def any_rules(self, depth, names):
        return self.rules(0, 4, depth, names)

    def minus(self, depth, names):
        return self.rules(1, 2, depth, names)

    def substr(self, depth, names):
        """The length is a number: what the reference makes of a negative one in a text is not meant."""
        length = self.random.choice([self.pick(NUMBERS), self.pick([0, 1, 2, 5, -1, -2, -5]), {"-": [self.pick([1, 2, 3])]}])
        return [self.rule(depth, names), self.rule(depth, names) if self.random.random() < 0.3 else self.pick([0, 1, 2, -1, -2, 9, -9, 1.5])] + ([length] if self.random.random() < 0.6 else [])

    def names(self, names):
        return [self.pick(names) for _ in range(self.random.randrange(4))]

    def missing(self, depth, names):
        """Keys are names: a list among them would be evaluated again by the reference."""
        kind = self.random.randrange(4)
        if kind == 0:
            return self.names(names)
        if kind == 1:
            return {"merge": self.names(names)}
        return [{"if": [self.rule(depth, names), self.names(names), []]}] if kind == 2 else [{"cat": [self.pick(names)]}, *self.names(names)]

    def missing_some(self, depth, names):
        keys = self.names(names) if self.random.random() < 0.6 else {"merge": self.names(names)}
        return [self.rule(depth, names) if self.random.random() < 0.3 else self.pick([0, 1, 2, 3, "1"]), keys]

    def items(self, depth, names):
        if names is NAMES and self.random.random() < 0.6:
            return {"var": self.pick(["list", "texts", "people", "a", "none"])}
        return self.rule(depth, names)

    def loop(self, depth, names):
        return [self.items(depth, names), self.rule(depth, ITEM_NAMES)]

    def reduce(self, depth, names):
        return [self.items(depth, names), self.rule(depth, REDUCE_NAMES)] + ([self.rule(depth, names)] if self.random.random() < 0.7 else [])

    MAKERS = {
        "var": var, "missing": missing, "missing_some": missing_some, "if": any_rules, "?:": any_rules, "and": some_rules, "or": some_rules, "!": unary, "!!": unary, "==": comparison, "===": comparison,
        "!=": comparison, "!==": comparison, ">": comparison, ">=": comparison, "<": between, "<=": between, "+": any_rules, "-": minus, "*": some_rules, "/": comparison, "%": comparison,
        "min": some_rules, "max": some_rules, "cat": any_rules, "substr": substr, "in": comparison, "merge": any_rules, "map": loop, "filter": loop, "reduce": reduce, "all": loop, "none": loop, "some": loop,
    }  # fmt: skip
