package io.llamafu.grammar;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** Parses a GBNF grammar, checks whether a text follows it, and generates random texts that do. */
final class ParsedGrammar {
    private static final int UNBOUNDED = Integer.MAX_VALUE;
    /** From this depth on, random texts take the shortest way to an end. */
    private static final int DEEP = 30;

    private final Map<String, Part> rules = new HashMap<>();
    private final Map<String, Integer> depths = new HashMap<>();
    private String source;
    private int at;

    private sealed interface Part {}

    private record Range(int first, int last) {}

    private record Characters(List<Range> ranges) implements Part {}

    private record Reference(String rule) implements Part {}

    private record Sequence(List<Part> parts) implements Part {}

    private record Choice(List<Part> alternatives) implements Part {}

    private record Repetition(Part part, int least, int most) implements Part {}

    private ParsedGrammar() {}

    static ParsedGrammar parse(String gbnf) {
        ParsedGrammar grammar = new ParsedGrammar();
        for (String line : gbnf.lines().toList()) {
            String[] rule = line.split(" ::= ", 2);
            grammar.source = rule[1];
            grammar.at = 0;
            grammar.rules.put(rule[0], grammar.readChoice());
        }
        grammar.measureDepths();
        return grammar;
    }

    boolean follows(String text) {
        int[] codePoints = text.codePoints().toArray();
        return new Match(codePoints).ends(rules.get("root"), 0).get(codePoints.length);
    }

    String random(Random random) {
        StringBuilder text = new StringBuilder();
        write(rules.get("root"), random, 0, text);
        return text.toString();
    }

    private Part readChoice() {
        List<Part> alternatives = new ArrayList<>();
        alternatives.add(readSequence());
        while (at < source.length() && source.charAt(at) == '|') {
            at++;
            alternatives.add(readSequence());
        }
        return alternatives.size() == 1 ? alternatives.get(0) : new Choice(alternatives);
    }

    private Part readSequence() {
        List<Part> parts = new ArrayList<>();
        while (at < source.length()) {
            char c = source.charAt(at);
            if (c == ' ') {
                at++;
            } else if (c == '"') {
                parts.add(readLiteral());
            } else if (c == '[') {
                parts.add(readClass());
            } else if (c == '(') {
                at++;
                parts.add(readChoice());
                at++;
            } else if ("?*+{".indexOf(c) >= 0) {
                parts.add(readRepetition(parts.remove(parts.size() - 1)));
            } else if (Character.isLetterOrDigit(c)) {
                parts.add(readReference());
            } else {
                break;
            }
        }
        return new Sequence(parts);
    }

    private Part readLiteral() {
        List<Part> characters = new ArrayList<>();
        at++;
        while (source.charAt(at) != '"') {
            int c = readCharacter();
            characters.add(new Characters(List.of(new Range(c, c))));
        }
        at++;
        return new Sequence(characters);
    }

    private Part readClass() {
        List<Range> ranges = new ArrayList<>();
        at++;
        while (source.charAt(at) != ']') {
            int first = readCharacter();
            int last = first;
            if (source.charAt(at) == '-') {
                at++;
                last = readCharacter();
            }
            ranges.add(new Range(first, last));
        }
        at++;
        return new Characters(ranges);
    }

    private int readCharacter() {
        int c = source.codePointAt(at);
        at += Character.charCount(c);
        if (c != '\\') {
            return c;
        }
        char escape = source.charAt(at++);
        int digits =
                switch (escape) {
                    case 'x' -> 2;
                    case 'u' -> 4;
                    case 'U' -> 8;
                    default -> 0;
                };
        if (digits > 0) {
            at += digits;
            return Integer.parseInt(source.substring(at - digits, at), 16);
        }
        return switch (escape) {
            case 'n' -> '\n';
            case 'r' -> '\r';
            case 't' -> '\t';
            default -> escape;
        };
    }

    private Part readReference() {
        int start = at;
        while (at < source.length() && (Character.isLetterOrDigit(source.charAt(at)) || source.charAt(at) == '-')) {
            at++;
        }
        return new Reference(source.substring(start, at));
    }

    private Part readRepetition(Part part) {
        char c = source.charAt(at++);
        if (c != '{') {
            return new Repetition(part, c == '+' ? 1 : 0, c == '?' ? 1 : UNBOUNDED);
        }
        int end = source.indexOf('}', at);
        String[] counts = source.substring(at, end).split(",", -1);
        at = end + 1;
        int least = Integer.parseInt(counts[0]);
        if (counts.length == 1) {
            return new Repetition(part, least, least);
        }
        return new Repetition(part, least, counts[1].isEmpty() ? UNBOUNDED : Integer.parseInt(counts[1]));
    }

    private void measureDepths() {
        boolean changed = true;
        while (changed) {
            changed = false;
            for (Map.Entry<String, Part> rule : rules.entrySet()) {
                int depth = depth(rule.getValue());
                changed |= !Integer.valueOf(depth).equals(depths.put(rule.getKey(), depth));
            }
        }
    }

    /** The least nesting of rules. */
    private int depth(Part part) {
        if (part instanceof Reference reference) {
            int depth = depths.getOrDefault(reference.rule(), UNBOUNDED);
            return depth == UNBOUNDED ? UNBOUNDED : depth + 1;
        }
        if (part instanceof Sequence sequence) {
            return sequence.parts().stream().mapToInt(this::depth).max().orElse(0);
        }
        if (part instanceof Choice choice) {
            return choice.alternatives().stream().mapToInt(this::depth).min().orElse(0);
        }
        return part instanceof Repetition repetition && repetition.least() > 0 ? depth(repetition.part()) : 0;
    }

    private void write(Part part, Random random, int depth, StringBuilder text) {
        if (part instanceof Characters characters) {
            text.appendCodePoint(randomCharacter(characters, random));
        } else if (part instanceof Reference reference) {
            write(rules.get(reference.rule()), random, depth + 1, text);
        } else if (part instanceof Sequence sequence) {
            sequence.parts().forEach(next -> write(next, random, depth, text));
        } else if (part instanceof Choice choice) {
            List<Part> alternatives = choice.alternatives();
            Part chosen = depth < DEEP
                    ? alternatives.get(random.nextInt(alternatives.size()))
                    : alternatives.stream()
                            .min(Comparator.comparingInt(this::depth))
                            .orElseThrow();
            write(chosen, random, depth, text);
        } else if (part instanceof Repetition repetition) {
            int spread = Math.min(repetition.most() - repetition.least(), random.nextInt(8) == 0 ? 50 : 3);
            int times = repetition.least() + (depth < DEEP ? random.nextInt(spread + 1) : 0);
            for (int i = 0; i < times; i++) {
                write(repetition.part(), random, depth, text);
            }
        }
    }

    private static int randomCharacter(Characters characters, Random random) {
        Range range = characters.ranges().get(random.nextInt(characters.ranges().size()));
        return range.first() + random.nextInt(range.last() - range.first() + 1);
    }

    /** Matches one text against the rules, caching results. */
    private final class Match {
        private record Place(String rule, int start) {}

        private final int[] text;
        private final Map<Place, BitSet> known = new HashMap<>();

        Match(int[] text) {
            this.text = text;
        }

        /** The possible ends of a part that begins at the start. */
        BitSet ends(Part part, int start) {
            BitSet ends = new BitSet();
            if (part instanceof Characters characters) {
                boolean matches = start < text.length
                        && characters.ranges().stream()
                                .anyMatch(range -> range.first() <= text[start] && text[start] <= range.last());
                if (matches) {
                    ends.set(start + 1);
                }
            } else if (part instanceof Reference reference) {
                Place place = new Place(reference.rule(), start);
                if (!known.containsKey(place)) {
                    known.put(place, ends(rules.get(reference.rule()), start));
                }
                return known.get(place);
            } else if (part instanceof Sequence sequence) {
                ends.set(start);
                for (Part next : sequence.parts()) {
                    ends = after(ends, next);
                }
            } else if (part instanceof Choice choice) {
                for (Part alternative : choice.alternatives()) {
                    ends.or(ends(alternative, start));
                }
            } else if (part instanceof Repetition repetition) {
                BitSet reached = new BitSet();
                reached.set(start);
                for (int times = 0; times <= repetition.most() && !reached.isEmpty(); times++) {
                    if (times >= repetition.least()) {
                        ends.or(reached);
                    }
                    reached = after(reached, repetition.part());
                }
            }
            return ends;
        }

        private BitSet after(BitSet starts, Part part) {
            BitSet ends = new BitSet();
            for (int start = starts.nextSetBit(0); start >= 0; start = starts.nextSetBit(start + 1)) {
                ends.or(ends(part, start));
            }
            return ends;
        }
    }
}
