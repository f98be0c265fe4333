package io.llamafu.grammar;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The work of llama.cpp to read a grammar and to start using it, computed in time that is linear in the grammar.
 * llama.cpp expands repetitions; it searches for left recursion by walking along every path to a first character, and
 * then keeps a stack for each of these paths, of which there can be exponentially many.
 */
final class GrammarWork {
    static final int UNBOUNDED = -1;

    /** Of all rules with repetitions expanded. */
    private static final long MAX_ELEMENTS = 1 << 21;
    /** Paths from any position of the grammar to the next character. */
    private static final long MAX_WAYS = 4096;
    /** Rules on one path. */
    private static final long MAX_WAY = 2000;
    /** Elements visited by the search for left recursion. */
    private static final long MAX_WALK = 1 << 25;

    private static final int CHARACTERS = -1;

    /**
     * A part of a sequence.
     *
     * @param rule that it refers to, or {@link #CHARACTERS}
     * @param elements that llama.cpp makes of it once
     * @param most repetitions, or {@link #UNBOUNDED}
     */
    record Item(int rule, int elements, int least, int most) {
        static Item of(int rule) {
            return new Item(rule, 1, 1, 1);
        }

        static Item ofCharacters(int elements) {
            return new Item(CHARACTERS, elements, 1, 1);
        }
    }

    /**
     * What a rule or a part of it begins with. All numbers saturate above every limit.
     *
     * @param ways paths to a first character
     * @param empty paths that skip it
     * @param length rules on the longest path
     * @param walk elements visited by the search for left recursion
     */
    private record Start(long ways, long empty, long length, long walk) {
        static final Start NOTHING = new Start(0, 1, 0, 0);
        static final Start CHARACTER = new Start(1, 0, 0, 0);

        Start then(Start next) {
            return empty == 0
                    ? this
                    : new Start(
                            sum(ways, product(empty, next.ways)),
                            product(empty, next.empty),
                            sum(length, next.length),
                            sum(walk, next.walk));
        }

        Start or(Start other) {
            return new Start(
                    sum(ways, other.ways),
                    sum(empty, other.empty),
                    Math.max(length, other.length),
                    sum(walk, other.walk));
        }

        Start in(long elements) {
            return new Start(ways, empty, sum(length, 1), sum(walk, elements));
        }
    }

    private static final long ENDLESS = 1L << 30;

    private static long sum(long left, long right) {
        return Math.min(ENDLESS, left + right);
    }

    private static long product(long left, long right) {
        return Math.min(ENDLESS, left * right);
    }

    private final Map<String, Integer> numbers = new HashMap<>();
    private final List<String> names = new ArrayList<>();
    private final List<List<List<Item>>> rules = new ArrayList<>();
    private long elements;
    /** The total of the search for left recursion, which starts at each rule; summed up while positions are checked. */
    private long walk;

    private Start[] starts = {};
    private boolean[] onWay = {};
    private boolean[] nullable = {};

    /** The number of a rule, which may be defined later. */
    int reference(String name) {
        Integer known = numbers.putIfAbsent(name, rules.size());
        return known != null ? known : add(name, null);
    }

    private int add(String name, List<List<Item>> alternatives) {
        names.add(name);
        rules.add(alternatives);
        return rules.size() - 1;
    }

    /** The last definition of a name applies. */
    void define(String name, List<List<Item>> alternatives) {
        rules.set(reference(name), alternatives);
        spend(elements(alternatives));
    }

    /** Adds the rule of a group within a rule, and returns its number. */
    int defineGroup(String rule, List<List<Item>> alternatives) {
        spend(elements(alternatives) + generatedName(rule));
        return add(rule, alternatives);
    }

    private static long elements(List<List<Item>> alternatives) {
        return alternatives.stream()
                        .flatMap(List::stream)
                        .mapToLong(item -> (long) item.elements() * Math.max(1, item.least()) + 1)
                        .sum()
                + alternatives.size();
    }

    /** Repeats an item, which may already be repeated, within a rule. */
    Item repeat(String rule, Item item, int least, int most) {
        long generated = most == UNBOUNDED ? 1L : (long) most - least;
        spend(generated * (item.elements() + 3 + generatedName(rule)) + (long) least * item.elements());
        if (item.least() == 1 && item.most() == 1) {
            return new Item(item.rule(), item.elements(), least, most);
        }
        // the repeated part is the last item with its repetitions
        int inner = add(rule, List.of(List.of(item)));
        return new Item(inner, item.elements(), least, most);
    }

    /** The name that llama.cpp stores for a rule that it adds to this one, in units of an element. */
    private static long generatedName(String rule) {
        return 4L + rule.length() / 8;
    }

    private void spend(long more) {
        elements += more;
        if (elements > MAX_ELEMENTS) {
            throw tooComplex("its rules have more than %d elements when their repetitions are written out"
                    .formatted(MAX_ELEMENTS));
        }
    }

    private static LlamafuException invalid(String problem) {
        return new LlamafuException(
                ErrorCode.INVALID_GRAMMAR, "The grammar does not parse: %s; correct it.".formatted(problem));
    }

    private static LlamafuException tooComplex(String problem) {
        return new LlamafuException(
                ErrorCode.INVALID_GRAMMAR,
                "The grammar is too complex: %s. Write once what alternatives have in common, and fewer repetitions."
                        .formatted(problem));
    }

    /** Throws INVALID_GRAMMAR. */
    void check() {
        if (!numbers.containsKey("root")) {
            throw invalid("it has no rule 'root'");
        }
        for (int rule = 0; rule < rules.size(); rule++) {
            if (rules.get(rule) == null) {
                throw invalid("it names the rule '%s', which it does not define".formatted(names.get(rule)));
            }
        }
        findNullable();
        starts = new Start[rules.size()];
        onWay = new boolean[rules.size()];
        for (int rule = 0; rule < rules.size(); rule++) {
            measure(rule);
        }
        walk = 0;
        for (int rule = 0; rule < rules.size(); rule++) {
            checkPlaces(rule);
            walk = sum(walk, starts[rule].walk());
        }
        if (walk > MAX_WALK) {
            throw tooComplex("the search for left recursion in it would take more than %d steps".formatted(MAX_WALK));
        }
    }

    /** Finds the rules that may be empty; each sequence waits for its items that are not known to be. */
    private void findNullable() {
        nullable = new boolean[rules.size()];
        List<List<int[]>> waiting = new ArrayList<>();
        rules.forEach(rule -> waiting.add(new ArrayList<>()));
        Deque<Integer> found = new ArrayDeque<>();
        for (int rule = 0; rule < rules.size(); rule++) {
            for (List<Item> sequence : rules.get(rule)) {
                int[] missing = {0, rule};
                for (Item item : sequence) {
                    if (item.least() > 0) {
                        missing[0]++;
                        if (item.rule() != CHARACTERS) {
                            waiting.get(item.rule()).add(missing);
                        }
                    }
                }
                if (missing[0] == 0) {
                    found.add(rule);
                }
            }
        }
        while (!found.isEmpty()) {
            int rule = found.remove();
            if (!nullable[rule]) {
                nullable[rule] = true;
                for (int[] missing : waiting.get(rule)) {
                    if (--missing[0] == 0) {
                        found.add(missing[1]);
                    }
                }
            }
        }
    }

    private boolean mayBeEmpty(Item item) {
        return item.least() == 0 || (item.rule() != CHARACTERS && nullable[item.rule()]);
    }

    /** A rule on the path from the one being measured, and its first rules that are not yet measured. */
    private record Step(int rule, Deque<Integer> firsts) {}

    /** Measures the beginning of a rule, after the beginnings of the rules that it starts with. */
    private void measure(int root) {
        Deque<Step> way = new ArrayDeque<>();
        enter(root, way);
        while (!way.isEmpty()) {
            Step step = way.getLast();
            Integer first = step.firsts().poll();
            if (first == null) {
                starts[step.rule()] = start(step.rule());
                onWay[step.rule()] = false;
                way.removeLast();
            } else if (onWay[first]) {
                throw invalid("the rule '%s' begins with itself".formatted(names.get(first)));
            } else {
                enter(first, way);
            }
        }
    }

    private void enter(int rule, Deque<Step> way) {
        if (starts[rule] == null) {
            onWay[rule] = true;
            way.addLast(new Step(rule, firstRules(rule)));
        }
    }

    private Deque<Integer> firstRules(int rule) {
        Deque<Integer> firsts = new ArrayDeque<>();
        for (List<Item> sequence : rules.get(rule)) {
            for (Item item : sequence) {
                if (item.most() == UNBOUNDED && item.rule() != CHARACTERS && nullable[item.rule()]) {
                    throw invalid("it repeats without end what may be empty");
                }
            }
            for (Item item : sequence) {
                if (item.rule() != CHARACTERS) {
                    firsts.add(item.rule());
                }
                if (!mayBeEmpty(item)) {
                    break;
                }
            }
        }
        return firsts;
    }

    private Start start(int rule) {
        Start start = new Start(0, 0, 0, 0);
        for (List<Item> sequence : rules.get(rule)) {
            int end = 0;
            while (end < sequence.size() && mayBeEmpty(sequence.get(end))) {
                end++;
            }
            Start of = Start.NOTHING;
            for (int i = Math.min(end, sequence.size() - 1); i >= 0; i--) {
                of = start(sequence.get(i)).then(of);
            }
            start = start.or(of);
        }
        return start.in(elements(rules.get(rule)));
    }

    /**
     * The beginning of an item with its repetitions: S{m,n} becomes m times S and n - m rules, each S followed by the
     * next one, or nothing.
     */
    private Start start(Item item) {
        Start once = item.rule() == CHARACTERS ? Start.CHARACTER : starts[item.rule()];
        Start all = Start.NOTHING;
        if (item.most() == UNBOUNDED) {
            all = once.or(Start.NOTHING).in(item.elements());
        } else if (once.empty() == 0 && item.most() > item.least()) {
            walk = sum(walk, product((long) item.most() - item.least(), sum(once.walk(), item.elements())));
            all = once.or(Start.NOTHING).in(item.elements());
        } else {
            for (int i = item.least(); i < item.most(); i++) {
                all = once.then(all).or(Start.NOTHING).in(item.elements());
                walk = sum(walk, all.walk());
            }
        }
        for (int i = 0; i < item.least() && (i == 0 || once.empty() > 0); i++) {
            all = once.then(all);
        }
        return all;
    }

    /** No position of a rule may have too many paths to the next character. */
    private void checkPlaces(int rule) {
        for (List<Item> sequence : rules.get(rule)) {
            Start rest = Start.NOTHING;
            for (int i = sequence.size() - 1; i >= 0; i--) {
                rest = start(sequence.get(i)).then(rest);
                check(rule, rest);
            }
        }
        check(rule, starts[rule]);
    }

    private void check(int rule, Start start) {
        if (Math.max(start.ways(), start.empty()) > MAX_WAYS) {
            throw tooComplex(
                    "the rule '%s' has more than %d ways to its next character".formatted(names.get(rule), MAX_WAYS));
        }
        if (start.length() > MAX_WAY) {
            throw tooComplex("the rule '%s' leads through more than %d others to its next character"
                    .formatted(names.get(rule), MAX_WAY));
        }
    }
}
