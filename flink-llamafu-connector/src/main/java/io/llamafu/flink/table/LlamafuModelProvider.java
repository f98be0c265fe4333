package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuConfigOptions;
import io.llamafu.flink.OnError;
import io.llamafu.flink.completion.LocalCheck;
import io.llamafu.flink.options.TextList;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.table.api.config.MLPredictRuntimeConfigOptions;
import org.apache.flink.table.functions.AsyncPredictFunction;
import org.apache.flink.table.functions.PredictFunction;
import org.apache.flink.table.ml.AsyncPredictRuntimeProvider;
import org.apache.flink.table.ml.ModelProvider;
import org.apache.flink.table.ml.PredictRuntimeProvider;

import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * A model in SQL. Each use in a query can change options in its CONFIG; all are validated while the query is planned,
 * which opens no model.
 */
@Internal
public final class LlamafuModelProvider implements AsyncPredictRuntimeProvider, PredictRuntimeProvider {

    private static final ConfigOption<String> LABELS_AS_WRITTEN =
            ConfigOptions.key(LlamafuConfigOptions.LABELS.key()).stringType().noDefaultValue();

    /** Options of CONFIG that Flink reads. */
    private static final Set<ConfigOption<?>> OF_FLINK = Set.of(
            MLPredictRuntimeConfigOptions.ASYNC,
            MLPredictRuntimeConfigOptions.ASYNC_OUTPUT_MODE,
            MLPredictRuntimeConfigOptions.ASYNC_MAX_CONCURRENT_OPERATIONS,
            MLPredictRuntimeConfigOptions.ASYNC_TIMEOUT);

    private final String model;
    private final ModelInput input;
    private final ModelOutput output;
    private final Map<String, String> options;
    private final Duration timeoutOfFlink;

    /**
     * A model.
     *
     * @param options known options, in their written form
     * @param timeoutOfFlink after which an asynchronous ML_PREDICT fails the job, unless CONFIG changes it
     */
    LlamafuModelProvider(
            String model, ModelInput input, ModelOutput output, Map<String, String> options, Duration timeoutOfFlink) {
        this.model = model;
        this.input = input;
        this.output = output;
        this.options = Map.copyOf(options);
        this.timeoutOfFlink = timeoutOfFlink;
    }

    @Override
    public AsyncPredictFunction createAsyncPredictFunction(Context context) {
        return new LlamafuAsyncPredictFunction(
                calls(context.runtimeConfig().toMap(), CallOptions.before(timeoutOfFlink(context))));
    }

    @Override
    public PredictFunction createPredictFunction(Context context) {
        return new LlamafuPredictFunction(calls(context.runtimeConfig().toMap(), FunctionEngines.NO_LIMIT));
    }

    private Duration timeoutOfFlink(Context context) {
        return context.runtimeConfig()
                .getOptional(MLPredictRuntimeConfigOptions.ASYNC_TIMEOUT)
                .orElse(timeoutOfFlink);
    }

    /**
     * The model as used by one query.
     *
     * @param config of ML_PREDICT
     * @throws io.llamafu.LlamafuException with INVALID_OPTION
     */
    ModelCalls calls(Map<String, String> config, Duration longest) {
        Map<String, String> all = new HashMap<>(options);
        changes(config).forEach(all::put);
        WrittenOptions written = new WrittenOptions(all);
        ModelTask kind = written.remove(LlamafuTableOptions.TASK);
        OutputFormat format = format(kind, written);
        CallOptions checked = new CallOptions(
                "The model %s".formatted(model),
                written.toMap(),
                input.texts(),
                CallOptions.keys(LlamafuConfigOptions.ofACall(), fixed(kind)),
                output.hasErrors() ? Set.of(OnError.values()) : Set.of(OnError.FAIL, OnError.NULL),
                longest);
        LocalCheck.check(checked.settings().options());
        return new ModelCalls(model, input, output, format, checked);
    }

    private Map<String, String> changes(Map<String, String> config) {
        Set<String> ours = CallOptions.keys(LlamafuConfigOptions.ofACall(), Set.of(LlamafuConfigOptions.TIMEOUT));
        Set<String> valid = new TreeSet<>(ours);
        valid.addAll(CallOptions.keys(OF_FLINK, Set.of()));
        Map<String, String> changes = new HashMap<>();
        config.forEach((key, value) -> {
            if (!valid.contains(key)) {
                throw WrittenOptions.invalid("CONFIG of ML_PREDICT with the model %s cannot set '%s'. It can set: %s."
                        .formatted(model, key, String.join(", ", valid)));
            }
            if (ours.contains(key)) {
                changes.put(key, value);
            }
        });
        return changes;
    }

    private static OutputFormat format(ModelTask kind, WrittenOptions written) {
        Set<ConfigOption<?>> contradicting = new HashSet<>(fixed(kind));
        switch (kind) {
            case TEXT_GENERATION -> {}
            case CLASSIFICATION -> contradicting.remove(LlamafuConfigOptions.LABELS);
            case EXTRACTION -> contradicting.remove(LlamafuConfigOptions.JSON_SCHEMA);
        }
        List<String> set = contradicting.stream()
                .filter(written::has)
                .map(ConfigOption::key)
                .sorted()
                .toList();
        if (!set.isEmpty()) {
            throw WrittenOptions.invalid("The task '%s' has no option '%s'. Its options are: %s."
                    .formatted(
                            name(kind),
                            set.get(0),
                            CallOptions.keys(LlamafuModelProviderFactory.OPTIONS, contradicting).stream()
                                    .sorted()
                                    .collect(Collectors.joining(", "))));
        }
        return switch (kind) {
            case TEXT_GENERATION -> new OutputFormat.Text();
            case CLASSIFICATION ->
                OutputFormat.Label.of(
                        TextList.parse(LlamafuConfigOptions.LABELS.key(), required(kind, written, LABELS_AS_WRITTEN)));
            case EXTRACTION -> OutputFormat.Json.of(required(kind, written, LlamafuConfigOptions.JSON_SCHEMA));
        };
    }

    private static <T> T required(ModelTask kind, WrittenOptions written, ConfigOption<T> option) {
        if (!written.has(option)) {
            throw WrittenOptions.invalid("The task '%s' needs the option '%s'.".formatted(name(kind), option.key()));
        }
        return written.remove(option);
    }

    private static String name(ModelTask kind) {
        return kind.name().toLowerCase(Locale.ROOT);
    }

    private static Set<ConfigOption<?>> fixed(ModelTask kind) {
        return switch (kind) {
            case TEXT_GENERATION -> LlamafuTableOptions.OF_A_TEXT;
            case CLASSIFICATION -> LlamafuTableOptions.OF_LABELS;
            case EXTRACTION -> LlamafuTableOptions.OF_A_SCHEMA;
        };
    }

    @Override
    public ModelProvider copy() {
        return new LlamafuModelProvider(model, input, output, options, timeoutOfFlink);
    }
}
