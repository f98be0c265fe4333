package io.llamafu.grammar;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Writes grammars for ranges of numbers. */
final class NumberGrammar {
    /** The digits of integers without bounds; all such integers are below 2^63. */
    private static final int INTEGER_DIGITS = 18;

    /** The digits that a double preserves. */
    private static final int DOUBLE_DIGITS = 15;

    /** Leaves three digits for the fraction. */
    private static final int NUMBER_BOUND_DIGITS = 12;

    private NumberGrammar() {}

    /** An end of a range. */
    private record Bound(BigDecimal value, boolean open) {}

    /** Integers within the bounds of a schema, of at most 18 digits. */
    static String integers(Schema schema) {
        BigDecimal limit = BigDecimal.valueOf(power(INTEGER_DIGITS) - 1);
        BigDecimal low = lower(schema)
                .map(NumberGrammar::firstInteger)
                .orElse(limit.negate())
                .max(limit.negate());
        BigDecimal high =
                upper(schema).map(NumberGrammar::lastInteger).orElse(limit).min(limit);
        if (low.compareTo(high) > 0) {
            throw schema.invalid("its bounds leave no integer of at most %d digits".formatted(INTEGER_DIGITS));
        }
        long least = low.longValueExact();
        long most = high.longValueExact();
        List<String> alternatives = new ArrayList<>();
        if (most >= 0) {
            alternatives.addAll(wholes(Math.max(0, least), most));
        }
        if (least < 0) {
            alternatives.add("\"-\" " + Gbnf.choice(wholes(Math.max(1, -most), -least)));
        }
        return String.join(" | ", alternatives);
    }

    private static BigDecimal firstInteger(Bound low) {
        BigDecimal first = low.value().setScale(0, RoundingMode.CEILING);
        return low.open() && first.compareTo(low.value()) == 0 ? first.add(BigDecimal.ONE) : first;
    }

    private static BigDecimal lastInteger(Bound high) {
        return firstInteger(new Bound(high.value().negate(), high.open())).negate();
    }

    /** Decimal numbers within the bounds of a schema, without exponent. */
    static String decimals(Schema schema) {
        Optional<Bound> lower = lower(schema);
        Optional<Bound> upper = upper(schema);
        int boundDigits = Math.max(digits(schema, lower), digits(schema, upper));
        int fraction = DOUBLE_DIGITS - boundDigits;
        long limit = power(DOUBLE_DIGITS);
        long low = lower.map(bound -> bound.value().longValueExact()).orElse(-limit);
        long high = upper.map(bound -> bound.value().longValueExact()).orElse(limit);
        boolean lowOpen = lower.map(Bound::open).orElse(true);
        boolean highOpen = upper.map(Bound::open).orElse(true);

        List<String> alternatives = new ArrayList<>();
        if (high >= 0 && low <= high) {
            alternatives.addAll(magnitudes(Math.max(0, low), low >= 0 && lowOpen, high, highOpen, fraction));
        }
        if (low < 0 && low <= high) {
            // zero has no sign
            List<String> negatives = magnitudes(Math.max(0, -high), high >= 0 || highOpen, -low, lowOpen, fraction);
            if (!negatives.isEmpty()) {
                alternatives.add("\"-\" " + Gbnf.choice(negatives));
            }
        }
        if (alternatives.isEmpty()) {
            throw schema.invalid("its bounds leave no number");
        }
        return String.join(" | ", alternatives);
    }

    private static int digits(Schema schema, Optional<Bound> bound) {
        if (bound.isEmpty()) {
            return 0;
        }
        BigDecimal value = bound.get().value().abs();
        if (value.compareTo(BigDecimal.valueOf(power(NUMBER_BOUND_DIGITS))) >= 0
                || value.stripTrailingZeros().scale() > 0) {
            throw schema.invalid("the bound %s of a number cannot be enforced; take a whole number of at most %d digits"
                    .formatted(bound.get().value(), NUMBER_BOUND_DIGITS));
        }
        return Long.toString(value.longValueExact()).length();
    }

    private static Optional<Bound> lower(Schema schema) {
        Optional<Bound> closed = schema.number("minimum").map(value -> new Bound(value, false));
        Optional<Bound> open = schema.number("exclusiveMinimum").map(value -> new Bound(value, true));
        boolean openDecides = open.isPresent()
                && (closed.isEmpty()
                        || open.get().value().compareTo(closed.get().value()) >= 0);
        return openDecides ? open : closed;
    }

    private static Optional<Bound> upper(Schema schema) {
        Optional<Bound> closed = schema.number("maximum").map(value -> new Bound(value, false));
        Optional<Bound> open = schema.number("exclusiveMaximum").map(value -> new Bound(value, true));
        boolean openDecides = open.isPresent()
                && (closed.isEmpty()
                        || open.get().value().compareTo(closed.get().value()) <= 0);
        return openDecides ? open : closed;
    }

    /** Non-negative decimals from low to high, with a limited number of fraction digits. */
    private static List<String> magnitudes(long low, boolean lowOpen, long high, boolean highOpen, int fraction) {
        if (low == high) {
            return lowOpen || highOpen ? List.of() : List.of(Gbnf.literal(Long.toString(low)));
        }
        List<String> alternatives = new ArrayList<>();
        if (lowOpen) {
            alternatives.add(Gbnf.literal(low + ".") + " " + Gbnf.repeat(Gbnf.DIGIT, 0, fraction - 1) + " [1-9]");
        }
        long first = lowOpen ? low + 1 : low;
        if (first < high) {
            alternatives.add(Gbnf.choice(wholes(first, high - 1)) + " "
                    + Gbnf.optional("\".\" " + Gbnf.repeat(Gbnf.DIGIT, 1, fraction)));
        }
        if (!highOpen) {
            alternatives.add(Gbnf.literal(Long.toString(high)));
        }
        return alternatives;
    }

    /** Non-negative integers from low to high. */
    private static List<String> wholes(long low, long high) {
        List<String> alternatives = new ArrayList<>();
        long from = low;
        if (from == 0) {
            alternatives.add("\"0\"");
            from = 1;
        }
        while (from <= high) {
            int digits = Long.toString(from).length();
            int all = digitsOfAll(high);
            if (from == power(digits - 1) && all >= digits) {
                alternatives.add("[1-9] " + Gbnf.repeat(Gbnf.DIGIT, digits - 1, all - 1));
                from = power(all);
            } else {
                long to = Math.min(high, power(digits) - 1);
                alternatives.add(sameLength(Long.toString(from), Long.toString(to)));
                from = to + 1;
            }
        }
        return alternatives;
    }

    /** The greatest length at which all numbers are at most this one. */
    private static int digitsOfAll(long high) {
        int digits = Long.toString(high).length();
        return high == power(digits) - 1 ? digits : digits - 1;
    }

    /** Digits from low to high, both of the same length, as a group. */
    private static String sameLength(String low, String high) {
        if (low.equals(high)) {
            return Gbnf.literal(low);
        }
        int rest = low.length() - 1;
        char first = low.charAt(0);
        char last = high.charAt(0);
        if (first == last) {
            return "(\"%s\" %s)".formatted(first, sameLength(low.substring(1), high.substring(1)));
        }
        List<String> alternatives = new ArrayList<>();
        String zeros = "0".repeat(rest);
        String nines = "9".repeat(rest);
        if (!low.endsWith(zeros)) {
            alternatives.add("\"%s\" %s".formatted(first, sameLength(low.substring(1), nines)));
            first++;
        }
        if (!high.endsWith(nines)) {
            alternatives.add("\"%s\" %s".formatted(last, sameLength(zeros, high.substring(1))));
            last--;
        }
        if (first <= last) {
            alternatives.add("[%s-%s] %s".formatted(first, last, Gbnf.repeat(Gbnf.DIGIT, rest, rest)));
        }
        return "(" + String.join(" | ", alternatives) + ")";
    }

    private static long power(int exponent) {
        long power = 1;
        for (int i = 0; i < exponent; i++) {
            power *= 10;
        }
        return power;
    }
}
