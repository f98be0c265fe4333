package io.llamafu.grammar;

import com.fasterxml.jackson.databind.JsonNode;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * A schema or a part of one.
 *
 * @param pointer its place in the whole schema, as a JSON pointer
 */
record Schema(JsonNode json, String pointer) {
    /** Numbers with larger exponents would have as many digits in computations. */
    private static final int MAX_EXPONENT = 1000;

    /** Its place, written as a reference would name it. */
    String place() {
        return "#" + pointer;
    }

    LlamafuException invalid(String problem) {
        return new LlamafuException(
                ErrorCode.INVALID_SCHEMA, "The JSON schema at '%s': %s.".formatted(place(), problem));
    }

    boolean has(String keyword) {
        return json.has(keyword);
    }

    JsonNode get(String keyword) {
        return json.get(keyword);
    }

    Schema child(String keyword) {
        return new Schema(
                json.get(keyword), pointer + "/" + keyword.replace("~", "~0").replace("/", "~1"));
    }

    String text(String keyword) {
        if (!get(keyword).isTextual()) {
            throw invalid("%s is %s, but must be a string".formatted(keyword, get(keyword)));
        }
        return get(keyword).textValue();
    }

    /** The schemas of a non-empty array. */
    List<Schema> list(String keyword) {
        Schema parent = child(keyword);
        if (!parent.json.isArray() || parent.json.isEmpty()) {
            throw invalid("%s is %s, but must be an array of schemas".formatted(keyword, parent.json));
        }
        List<Schema> list = new ArrayList<>();
        for (int i = 0; i < parent.json.size(); i++) {
            list.add(new Schema(parent.json.get(i), parent.pointer + "/" + i));
        }
        return list;
    }

    /** The properties in their order; empty if the keyword is absent. */
    Map<String, Schema> properties() {
        Map<String, Schema> properties = new LinkedHashMap<>();
        if (has("properties")) {
            Schema parent = child("properties");
            if (!parent.json.isObject()) {
                throw invalid("properties is %s, but must be an object".formatted(parent.json));
            }
            parent.json.fieldNames().forEachRemaining(name -> properties.put(name, parent.child(name)));
        }
        return properties;
    }

    Set<String> required() {
        Set<String> required = new LinkedHashSet<>();
        if (has("required")) {
            if (!get("required").isArray()) {
                throw invalid("required is %s, but must be an array of names".formatted(get("required")));
            }
            for (JsonNode name : get("required")) {
                if (!name.isTextual()) {
                    throw invalid("required holds %s, but must be an array of names".formatted(name));
                }
                required.add(name.textValue());
            }
        }
        return required;
    }

    /** A length or number of items, limited to what a grammar can count; empty if the keyword is absent. */
    Optional<Integer> count(String keyword) {
        Optional<BigDecimal> number = number(keyword);
        number.ifPresent(value -> {
            if (value.signum() < 0
                    || value.compareTo(BigDecimal.valueOf(Gbnf.MAX_REPETITIONS)) > 0
                    || value.stripTrailingZeros().scale() > 0) {
                throw invalid("%s is %s, but must be a whole number from 0 to %d"
                        .formatted(keyword, get(keyword), Gbnf.MAX_REPETITIONS));
            }
        });
        return number.map(BigDecimal::intValue);
    }

    Optional<BigDecimal> number(String keyword) {
        if (!has(keyword)) {
            return Optional.empty();
        }
        if (!get(keyword).isNumber()) {
            throw invalid("%s is %s, but must be a number".formatted(keyword, get(keyword)));
        }
        requireFewDigits(keyword, get(keyword));
        return Optional.of(get(keyword).decimalValue());
    }

    void requireFewDigits(String what, JsonNode number) {
        if (Math.abs((long) number.decimalValue().scale()) > MAX_EXPONENT) {
            throw invalid("%s is %s, but its exponent may be %d at most".formatted(what, number, MAX_EXPONENT));
        }
    }

    /** The values of {@code const} or {@code enum}; empty if it has neither. */
    Optional<List<JsonNode>> values() {
        if (has("const")) {
            return Optional.of(List.of(get("const")));
        }
        if (!has("enum")) {
            return Optional.empty();
        }
        if (!get("enum").isArray() || get("enum").isEmpty()) {
            throw invalid("enum is %s, but must be an array of values".formatted(get("enum")));
        }
        List<JsonNode> values = new ArrayList<>();
        get("enum").forEach(values::add);
        return Optional.of(values);
    }

    boolean saysItsType() {
        return has("type") || has("properties") || has("items") || has("prefixItems");
    }

    /** The types that {@code type} names or that the other keywords imply; NUMBER includes integers. */
    Set<JsonType> types() {
        if (!has("type")) {
            if (has("properties")) {
                return Set.of(JsonType.OBJECT);
            }
            if (has("items") || has("prefixItems")) {
                return Set.of(JsonType.ARRAY);
            }
            throw invalid("it has no type, so that any value would do; name one of " + JsonType.names());
        }
        Set<JsonType> types = new LinkedHashSet<>();
        JsonNode names = get("type");
        if (names.isArray()) {
            names.forEach(name -> types.add(type(name)));
        } else {
            types.add(type(names));
        }
        if (types.isEmpty()) {
            throw invalid("type is an empty array; name one of " + JsonType.names());
        }
        if (types.contains(JsonType.NUMBER)) {
            types.remove(JsonType.INTEGER);
        }
        return types;
    }

    private JsonType type(JsonNode name) {
        return JsonType.named(name.asText())
                .filter(type -> name.isTextual())
                .orElseThrow(() -> invalid("type is %s, but must be of %s".formatted(name, JsonType.names())));
    }
}
