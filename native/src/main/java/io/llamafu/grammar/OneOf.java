package io.llamafu.grammar;

import com.fasterxml.jackson.databind.JsonNode;

import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;

/**
 * Verifies that at most one alternative of a {@code oneOf} fits any answer, because a grammar cannot forbid what two
 * alternatives both allow.
 */
final class OneOf {
    private static final int MAX_DEPTH = 8;
    private static final int MAX_COMPARISONS = 100_000;

    /** Treats 1 and 1.0 as the same value. */
    private static final Comparator<JsonNode> BY_VALUE = (left, right) -> {
        if (left.isNumber() && right.isNumber()) {
            return left.decimalValue().compareTo(right.decimalValue());
        }
        return left.equals(right) ? 0 : 1;
    };

    private final UnaryOperator<Schema> follow;
    private int comparisons;

    /**
     * Prepares a check.
     *
     * @param follow resolves a schema that refers to another one; returns others unchanged
     */
    OneOf(UnaryOperator<Schema> follow) {
        this.follow = follow;
    }

    void check(Schema schema, List<Schema> alternatives) {
        for (int i = 0; i < alternatives.size(); i++) {
            for (int j = 0; j < i; j++) {
                if (!exclusive(alternatives.get(i), alternatives.get(j), 0)) {
                    throw schema.invalid(
                            ("the alternatives %d and %d of oneOf may fit the same document; write anyOf, or"
                                            + " let both require a property that has another const in each")
                                    .formatted(j, i));
                }
            }
        }
    }

    private boolean exclusive(Schema left, Schema right, int depth) {
        if (depth > MAX_DEPTH || comparisons++ > MAX_COMPARISONS) {
            return false;
        }
        Schema one = follow.apply(left);
        Schema other = follow.apply(right);
        for (String choice : List.of("anyOf", "oneOf")) {
            if (one.has(choice)) {
                return one.list(choice).stream().allMatch(part -> exclusive(part, other, depth + 1));
            }
            if (other.has(choice)) {
                return other.list(choice).stream().allMatch(part -> exclusive(one, part, depth + 1));
            }
        }
        Optional<List<JsonNode>> values = one.values();
        Optional<List<JsonNode>> otherValues = other.values();
        if (values.isPresent() && otherValues.isPresent()) {
            return values.get().stream().noneMatch(value -> otherValues.get().stream()
                    .anyMatch(otherValue -> value.equals(BY_VALUE, otherValue)));
        }
        Set<JsonType> common = common(written(one), admitted(other));
        common.addAll(common(admitted(one), written(other)));
        if (common.isEmpty()) {
            return true;
        }
        boolean objects = common.equals(Set.of(JsonType.OBJECT)) && values.isEmpty() && otherValues.isEmpty();
        return objects
                && (differInARequiredProperty(one, other, depth)
                        || (requiresWhatIsNeverIn(one, other) && requiresWhatIsNeverIn(other, one)));
    }

    private static Set<JsonType> common(Set<JsonType> types, Set<JsonType> others) {
        Set<JsonType> common = new HashSet<>(types);
        common.retainAll(others);
        return common;
    }

    /** The types of the answers that are written for a schema. */
    private static Set<JsonType> written(Schema schema) {
        return schema
                .values()
                .map(values -> values.stream().map(JsonType::of).collect(Collectors.toSet()))
                .orElseGet(schema::types)
                .stream()
                .map(JsonType::widest)
                .collect(Collectors.toSet());
    }

    /**
     * The types that a schema accepts: all if it names none, since keywords such as {@code properties} apply to one
     * type only.
     */
    private static Set<JsonType> admitted(Schema schema) {
        return schema.has("type") || schema.values().isPresent() ? written(schema) : Set.of(JsonType.values());
    }

    private boolean differInARequiredProperty(Schema one, Schema other, int depth) {
        return one.required().stream()
                .filter(other.required()::contains)
                .filter(name ->
                        one.properties().containsKey(name) && other.properties().containsKey(name))
                .anyMatch(name ->
                        exclusive(one.properties().get(name), other.properties().get(name), depth + 1));
    }

    /** An answer has only properties that its own alternative names. */
    private static boolean requiresWhatIsNeverIn(Schema one, Schema other) {
        return !other.properties().keySet().containsAll(one.required());
    }
}
