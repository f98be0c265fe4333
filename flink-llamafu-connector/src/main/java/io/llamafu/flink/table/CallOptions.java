package io.llamafu.flink.table;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.Sha256;
import io.llamafu.chat.ChatFamily;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.SharedEngines;
import io.llamafu.flink.LlamafuConfigOptions;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.OnError;
import io.llamafu.flink.PromptTemplate;
import io.llamafu.flink.completion.EngineClient;
import io.llamafu.flink.completion.Question;
import io.llamafu.flink.completion.TaskManager;
import io.llamafu.flink.options.ChatOptions;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.table.functions.FunctionContext;

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
import java.util.function.Supplier;
import java.util.stream.Collectors;

/** The options of a function or a model, and which of them a call may change. */
final class CallOptions implements Serializable {
    private static final long serialVersionUID = 1L;

    private final String user;
    private final Map<String, String> options;
    private final List<String> columns;
    private final Set<String> changeable;
    private final Set<OnError> onErrors;
    private final Duration longest;
    private final RecentValues<Map<String, String>, CallSettings> recent = new RecentValues<>();

    /**
     * Validates the options.
     *
     * @param user in messages, such as {@code LLM_COMPLETE}
     * @param options in their written form
     * @param columns text columns of the prompt; empty for a function, which has one text
     * @param changeable keys that a call may set
     * @param onErrors allowed values of {@code on-error}
     * @param longest upper limit of timeouts
     * @throws LlamafuException with INVALID_OPTION
     */
    CallOptions(
            String user,
            Map<String, String> options,
            List<String> columns,
            Set<String> changeable,
            Set<OnError> onErrors,
            Duration longest) {
        this.user = user;
        this.options = Map.copyOf(options);
        this.columns = List.copyOf(columns);
        this.changeable = Set.copyOf(changeable);
        this.onErrors = Set.copyOf(onErrors);
        this.longest = longest;
        CallSettings unused = settings();
    }

    /**
     * Opens the engine.
     *
     * @param metrics the group of the function or the model
     */
    EngineClient open(FunctionContext context, MetricGroup metrics) {
        TaskManager taskManager = TaskManager.of(context, context.getExternalResourceInfos(TaskManager.GPU_RESOURCE));
        return EngineClient.open(settings().options(), taskManager, SharedEngines::acquire, metrics);
    }

    /** @param made throws if the call is invalid */
    private record Call(String subject, CallSettings settings, Supplier<CompletionRequest> made, OutputFormat format)
            implements Question {
        @Override
        public CompletionRequest request() {
            return made.get();
        }

        @Override
        public void check(CompletionResult answer) {
            format.check(answer);
        }

        @Override
        public String promptTemplateDigest() {
            return settings.templateDigest();
        }

        @Override
        public boolean promptInOutput() {
            return settings.options().promptInOutput();
        }

        @Override
        public ChatOptions chat() {
            return settings.options().chat();
        }

        @Override
        public OnError onError() {
            return settings.options().onError();
        }
    }

    /**
     * The question of a call. Does not throw: an error in the call fails its record. Its own {@code on-error} applies,
     * or that of these options if the call's options are invalid.
     *
     * @param texts of the columns of the template
     * @param stack in its written form
     * @param changes of the options
     */
    Question question(Supplier<OutputFormat> format, List<String> texts, String stack, Map<String, String> changes) {
        CallSettings used = settings();
        try {
            used = settings(changes);
            PromptTemplate.requireText(texts);
            OutputFormat expected = format.get();
            CompletionRequest request = expected.request(used, used.template().render(texts), AdapterStack.parse(stack))
                    .withPatience(longest);
            return new Call(user, used, () -> request, expected);
        } catch (RuntimeException e) {
            return failed(used, e);
        }
    }

    /** The question of an invalid call; the {@code on-error} of these options applies. */
    Question failed(LlamafuException failure) {
        return failed(settings(), failure);
    }

    private Question failed(CallSettings used, RuntimeException failure) {
        Supplier<CompletionRequest> none = () -> {
            throw failure;
        };
        return new Call(user, used, none, new OutputFormat.Text());
    }

    static Set<String> keys(Collection<ConfigOption<?>> options, Set<ConfigOption<?>> without) {
        return options.stream()
                .filter(option -> !without.contains(option))
                .map(ConfigOption::key)
                .collect(Collectors.toCollection(HashSet::new));
    }

    /** The engine's time if Flink gives up after a timeout: a tenth less, so that the engine's error comes first. */
    static Duration before(Duration timeoutOfFlink) {
        return timeoutOfFlink.minus(timeoutOfFlink.dividedBy(10));
    }

    /** For a call without options. */
    CallSettings settings() {
        return settings(Map.of());
    }

    /**
     * For a call with options.
     *
     * @throws LlamafuException with INVALID_OPTION if it sets an option that it may not, or a value is out of range
     */
    CallSettings settings(Map<String, String> changes) {
        return recent.get(changes, this::read);
    }

    private CallSettings read(Map<String, String> changes) {
        Map<String, String> all = new HashMap<>(options);
        changes.forEach((key, value) -> {
            checkChange(key, value);
            all.put(key, value);
        });
        String template = all.remove(LlamafuConfigOptions.PROMPT_TEMPLATE.key());
        LlamafuOptions checked = LlamafuOptions.fromMap(all);
        checkOnError(checked.onError());
        Duration timeout = checked.timeout().compareTo(longest) < 0 ? checked.timeout() : longest;
        String written = template == null ? defaultTemplate() : template;
        return new CallSettings(checked, checked.sampling(), template(written), Sha256.of(written), timeout);
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
        if (key.equals(LlamafuConfigOptions.CHAT_TEMPLATE.key()) && ChatOptions.isFile(value)) {
            throw invalid(
                    "A call of %s cannot set chat-template to '%s': it can set auto, model, none, or one of the families %s. Only the options of a query name files."
                            .formatted(user, value, String.join(", ", ChatFamily.optionNames())));
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

    private ColumnTemplate template(String written) {
        return columns.isEmpty() ? ColumnTemplate.of(new PromptTemplate(written)) : ColumnTemplate.of(written, columns);
    }

    private String defaultTemplate() {
        if (columns.isEmpty()) {
            return LlamafuConfigOptions.PROMPT_TEMPLATE.defaultValue();
        }
        if (columns.size() > 1) {
            throw invalid("The option 'prompt-template' is missing: say how %s become one prompt."
                    .formatted(
                            columns.stream().map(column -> "{" + column + "}").collect(Collectors.joining(" and "))));
        }
        return "{" + columns.get(0) + "}";
    }

    private static LlamafuException invalid(String message) {
        return new LlamafuException(ErrorCode.INVALID_OPTION, message);
    }
}
