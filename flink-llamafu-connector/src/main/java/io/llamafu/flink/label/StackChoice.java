package io.llamafu.flink.label;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.flink.artifact.SmallFile;

import javax.annotation.Nullable;
import java.io.Serializable;
import java.time.DateTimeException;
import java.time.OffsetDateTime;
import java.util.Map;
import java.util.TreeMap;

/**
 * Chooses the stack of a row: its own, else that of its key's route, else the one for all.
 *
 * @param all of rows without another
 * @param stackField the field of a row's own stack; null for none
 * @param keyField the field of the key of a route; null without routes
 * @param timeField the field of a row's time; null if the last route of a key counts
 * @param routes by key, then by the time in milliseconds from which they are valid
 */
record StackChoice(
        AdapterStack all,
        @Nullable String stackField,
        @Nullable String keyField,
        @Nullable String timeField,
        Map<String, TreeMap<Long, String>> routes)
        implements Serializable {
    private static final int MOST_FILE_BYTES = 256 << 20;

    private static final String A_TIME =
            "a time in milliseconds, or one of ISO 8601 with its zone, such as 2026-01-31T08:00:00Z";

    static StackChoice of(LabelArguments arguments) {
        String keyField = arguments.get(LabelOption.KEY_FIELD).orElse(null);
        String timeField = arguments.get(LabelOption.TIME_FIELD).orElse(null);
        boolean routed = arguments.has(LabelOption.ROUTES);
        if (routed != (keyField != null) || (timeField != null && !routed)) {
            throw LabelArguments.invalid(
                    "--routes and --key-field need each other, and --time-field needs both: set or remove them together.");
        }
        return new StackChoice(
                AdapterStack.parse(arguments.get(LabelOption.STACK).orElse("")),
                arguments.get(LabelOption.STACK_FIELD).orElse(null),
                keyField,
                timeField,
                routed ? routes(arguments.require(LabelOption.ROUTES), keyField, timeField) : Map.of());
    }

    /** A line has the key as "key" and the time as "validFrom", or each under the name that the rows have for it. */
    private static Map<String, TreeMap<Long, String>> routes(
            String location, String keyField, @Nullable String timeField) {
        Map<String, TreeMap<Long, String>> routes = new TreeMap<>();
        String[] lines = SmallFile.read(LabelOption.ROUTES.key(), location, MOST_FILE_BYTES, ErrorCode.INVALID_OPTION)
                .split("\n", -1);
        for (int i = 0; i < lines.length; i++) {
            if (lines[i].isBlank()) {
                continue;
            }
            try {
                JsonNode route = Json.MAPPER.readTree(lines[i]);
                JsonNode keyed = route.path(route.has("key") ? "key" : keyField);
                String key = keyed.isNull() ? "" : keyed.asText("");
                String time = route.has("validFrom") || timeField == null ? "validFrom" : timeField;
                if (key.isEmpty() || !route.path("stack").isTextual()) {
                    throw new IllegalArgumentException("it lacks a key or a stack");
                }
                routes.computeIfAbsent(key, any -> new TreeMap<>())
                        .put(
                                validFrom(route, time),
                                AdapterStack.parse(route.get("stack").textValue())
                                        .toString());
            } catch (JsonProcessingException | IllegalArgumentException | LlamafuException e) {
                throw new LlamafuException(
                        ErrorCode.INVALID_OPTION,
                        "--routes is '%s', whose line %d is no route: %s.".formatted(location, i + 1, e.getMessage()),
                        e);
            }
        }
        return routes;
    }

    /** A route without a time has always been valid. */
    private static long validFrom(JsonNode route, String field) {
        JsonNode time = route.path(field);
        if (time.isMissingNode()) {
            return Long.MIN_VALUE;
        }
        try {
            if (time.isTextual() || time.isIntegralNumber()) {
                return millis(time.asText());
            }
        } catch (NumberFormatException | DateTimeException | ArithmeticException e) {
            // Reported below, like a value that is neither a text nor a whole number.
        }
        throw new IllegalArgumentException("%s is %s, but must be %s".formatted(field, time, A_TIME));
    }

    private static long millis(String time) {
        return time.indexOf('T') < 0
                ? Long.parseLong(time)
                : OffsetDateTime.parse(time).toInstant().toEpochMilli();
    }

    /** @throws LlamafuException with INVALID_REQUEST if a field has the wrong type or the stack is malformed */
    AdapterStack choose(Row row) {
        String own = stackField == null ? null : row.optional(stackField);
        if (own != null) {
            return AdapterStack.parse(own);
        }
        String key = keyField == null ? null : row.optional(keyField);
        TreeMap<Long, String> route = key == null ? null : routes.get(key);
        if (route == null) {
            return all;
        }
        Map.Entry<Long, String> valid = timeField == null ? route.lastEntry() : route.floorEntry(time(row));
        return valid == null ? all : AdapterStack.parse(valid.getValue());
    }

    private long time(Row row) {
        try {
            return millis(row.scalar(timeField));
        } catch (NumberFormatException | DateTimeException | ArithmeticException e) {
            throw row.invalid(
                    "the field '%s' is '%s', but must be %s".formatted(timeField, row.scalar(timeField), A_TIME));
        }
    }
}
