package io.llamafu.grammar;

import com.fasterxml.jackson.databind.JsonNode;

import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** The types of JSON Schema, each with the keywords for it that can be enforced. */
enum JsonType {
    OBJECT,
    ARRAY,
    STRING,
    INTEGER,
    NUMBER,
    BOOLEAN,
    NULL;

    /** The keywords of all types, and {@code type} itself. */
    static final Set<String> ALL_KEYWORDS = Stream.concat(
                    Stream.of("type"), Arrays.stream(values()).flatMap(type -> type.keywords().stream()))
            .collect(Collectors.toUnmodifiableSet());

    Set<String> keywords() {
        return switch (this) {
            case OBJECT -> Set.of("properties", "required", "additionalProperties");
            case ARRAY -> Set.of("items", "prefixItems", "minItems", "maxItems");
            case STRING -> Set.of("minLength", "maxLength", "format");
            case INTEGER, NUMBER -> Set.of("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum");
            case BOOLEAN, NULL -> Set.of();
        };
    }

    private String written() {
        return name().toLowerCase(Locale.ROOT);
    }

    static Optional<JsonType> named(String name) {
        return Arrays.stream(values())
                .filter(type -> type.written().equals(name))
                .findFirst();
    }

    static String names() {
        return Arrays.stream(values()).map(JsonType::written).collect(Collectors.joining(", "));
    }

    /** The type of a value; a whole number, however written, is an INTEGER. */
    static JsonType of(JsonNode value) {
        return switch (value.getNodeType()) {
            case OBJECT, POJO -> OBJECT;
            case ARRAY -> ARRAY;
            case STRING, BINARY -> STRING;
            case NUMBER -> value.decimalValue().stripTrailingZeros().scale() <= 0 ? INTEGER : NUMBER;
            case BOOLEAN -> BOOLEAN;
            case NULL, MISSING -> NULL;
        };
    }

    boolean admits(JsonNode value) {
        JsonType type = of(value);
        return this == type || (this == NUMBER && type == INTEGER);
    }

    /** NUMBER for INTEGER, so that two types share a value only if they are equal. */
    JsonType widest() {
        return this == INTEGER ? NUMBER : this;
    }
}
