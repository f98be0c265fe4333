package io.llamafu.flink.table;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.flink.LlamafuConfigOptions;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.OnError;
import io.llamafu.flink.PromptTemplate;
import org.apache.flink.configuration.ConfigOption;

import javax.annotation.Nullable;
import java.io.Serializable;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * The options of a function or a model, and which of them a call may change.
 *
 * @param user in messages, such as {@code LLM_COMPLETE}
 * @param options in their written form
 * @param columns the text columns that the prompt is made of; empty for a function, which has one text
 * @param changeable the keys that a call may set
 * @param onErrors what {@code on-error} may be
 * @param longest a timeout is never longer
 */
record CallOptions(
        String user,
        Map<String, String> options,
        List<String> columns,
        Set<String> changeable,
        Set<OnError> onErrors,
        Duration longest)
        implements Serializable {

    CallOptions {
        options = Map.copyOf(options);
        columns = List.copyOf(columns);
        changeable = Set.copyOf(changeable);
        onErrors = Set.copyOf(onErrors);
    }

    static Set<String> keys(Collection<ConfigOption<?>> options, Set<ConfigOption<?>> without) {
        return options.stream()
                .filter(option -> !without.contains(option))
                .map(ConfigOption::key)
                .collect(Collectors.toCollection(HashSet::new));
    }

    /** What is left for the engine if Flink itself gives up after a time: a tenth less, so that its error comes first. */
    static Duration before(Duration timeoutOfFlink) {
        return timeoutOfFlink.minus(timeoutOfFlink.dividedBy(10));
    }

    /** For a call that changes nothing. */
    CallSettings settings() {
        return settings(Map.of());
    }

    /**
     * For a call that changes some.
     *
     * @throws LlamafuException with INVALID_OPTION if it changes what it may not, or a value is out of its range
     */
    CallSettings settings(Map<String, String> changes) {
        Map<String, String> all = new HashMap<>(options);
        changes.forEach((key, value) -> {
            checkChange(key, value);
            all.put(key, value);
        });
        String template = all.remove(LlamafuConfigOptions.PROMPT_TEMPLATE.key());
        LlamafuOptions checked = LlamafuOptions.fromMap(all);
        checkOnError(checked.onError());
        Duration timeout = checked.timeout().compareTo(longest) < 0 ? checked.timeout() : longest;
        return new CallSettings(checked, checked.sampling(), template(template), timeout);
    }

    private void checkChange(String key, String value) {
        if (key == null || value == null) {
            throw invalid("The options of a call of %s have a NULL %s; leave it out."
                    .formatted(user, key == null ? "key" : "value of '" + key + "'"));
        }
        if (!changeable.contains(key)) {
            throw invalid("A call of %s cannot set '%s'. It can set: %s."
                    .formatted(user, key, String.join(", ", new TreeSet<>(changeable))));
        }
    }

    private void checkOnError(OnError onError) {
        if (!onErrors.contains(onError)) {
            throw invalid("on-error is '%s', but %s has no column for an error. It can be: %s."
                    .formatted(
                            onError.name().toLowerCase(Locale.ROOT),
                            user,
                            onErrors.stream()
                                    .map(valid -> valid.name().toLowerCase(Locale.ROOT))
                                    .sorted()
                                    .collect(Collectors.joining(", "))));
        }
    }

    private ColumnTemplate template(@Nullable String template) {
        if (columns.isEmpty()) {
            return ColumnTemplate.of(new PromptTemplate(
                    template == null ? LlamafuConfigOptions.PROMPT_TEMPLATE.defaultValue() : template));
        }
        if (template != null) {
            return ColumnTemplate.of(template, columns);
        }
        if (columns.size() > 1) {
            throw invalid("The option 'prompt-template' is missing: say how %s become one prompt."
                    .formatted(
                            columns.stream().map(column -> "{" + column + "}").collect(Collectors.joining(" and "))));
        }
        return ColumnTemplate.of("{" + columns.get(0) + "}", columns);
    }

    private static LlamafuException invalid(String message) {
        return new LlamafuException(ErrorCode.INVALID_OPTION, message);
    }
}
