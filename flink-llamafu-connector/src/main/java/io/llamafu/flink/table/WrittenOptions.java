package io.llamafu.flink.table;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.flink.LlamafuConfigOptions;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;

import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/** Options as they were written in SQL. */
final class WrittenOptions {
    private final Map<String, String> options;

    WrittenOptions(Map<String, String> options) {
        this.options = new HashMap<>(options);
    }

    /**
     * Rejects unknown options.
     *
     * @param what in the message, such as {@code the module 'llamafu'}
     */
    void check(String what, Collection<ConfigOption<?>> valid) {
        Set<String> keys = new TreeSet<>(CallOptions.keys(valid, Set.of()));
        options.keySet().stream()
                .filter(key -> !keys.contains(key) && !LlamafuConfigOptions.isNamedAdapter(key))
                .sorted()
                .findFirst()
                .ifPresent(key -> {
                    throw invalid("%s has no option '%s'. The options are: %s."
                            .formatted(what, key, String.join(", ", keys)));
                });
    }

    /** Removes an option and returns its value, or its default, which may be null. */
    <T> T remove(ConfigOption<T> option) {
        try {
            return Configuration.fromMap(options).get(option);
        } catch (IllegalArgumentException e) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "%s is '%s', but: %s".formatted(option.key(), options.get(option.key()), reason(e)),
                    e);
        } finally {
            options.remove(option.key());
        }
    }

    private static String reason(IllegalArgumentException e) {
        return e.getCause() == null ? e.getMessage() : e.getCause().getMessage();
    }

    boolean has(ConfigOption<?> option) {
        return options.containsKey(option.key());
    }

    Map<String, String> toMap() {
        return Map.copyOf(options);
    }

    static LlamafuException invalid(String message) {
        return new LlamafuException(ErrorCode.INVALID_OPTION, message);
    }
}
