package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuConfigOptions;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;

import java.util.List;
import java.util.Set;

/** The options that only SQL has, next to those of {@link LlamafuConfigOptions}. */
@PublicEvolving
public final class LlamafuTableOptions {

    /** How module, functions and model provider are called in SQL. */
    static final String IDENTIFIER = "llamafu";

    public static final ConfigOption<ModelTask> TASK = ConfigOptions.key("task")
            .enumType(ModelTask.class)
            .defaultValue(ModelTask.TEXT_GENERATION)
            .withDescription("Of a model: 'text_generation' answers, 'classification' answers with one of the labels,"
                    + " 'extraction' answers with JSON of the json-schema.");

    public static final ConfigOption<List<String>> LABELS = ConfigOptions.key("labels")
            .stringType()
            .asList()
            .noDefaultValue()
            .withDescription("Of a model whose task is 'classification': the labels: a JSON array, or separated by"
                    + " ';', each exactly as it is written.");

    public static final ConfigOption<String> PROFILE = ConfigOptions.key("profile")
            .stringType()
            .noDefaultValue()
            .withDescription("Of a call: the job parameters 'llamafu.profile.NAME.*' are its options, so that it can"
                    + " have another model.");

    /** What a single call may set: all that does not open the engine. */
    private static final List<ConfigOption<?>> OF_A_CALL = List.of(
            LlamafuConfigOptions.PROMPT_TEMPLATE,
            LlamafuConfigOptions.MAX_TOKENS,
            LlamafuConfigOptions.TEMPERATURE,
            LlamafuConfigOptions.TOP_K,
            LlamafuConfigOptions.TOP_P,
            LlamafuConfigOptions.MIN_P,
            LlamafuConfigOptions.REPEAT_PENALTY,
            LlamafuConfigOptions.SEED,
            LlamafuConfigOptions.STOP,
            LlamafuConfigOptions.GRAMMAR,
            LlamafuConfigOptions.JSON_SCHEMA,
            LlamafuConfigOptions.TIMEOUT,
            LlamafuConfigOptions.ON_ERROR);

    /** What a classification decides itself. */
    static final Set<ConfigOption<?>> OF_LABELS = Set.of(
            LlamafuConfigOptions.MAX_TOKENS,
            LlamafuConfigOptions.STOP,
            LlamafuConfigOptions.GRAMMAR,
            LlamafuConfigOptions.JSON_SCHEMA);

    /** What an extraction decides itself. */
    static final Set<ConfigOption<?>> OF_A_SCHEMA =
            Set.of(LlamafuConfigOptions.STOP, LlamafuConfigOptions.GRAMMAR, LlamafuConfigOptions.JSON_SCHEMA);

    private LlamafuTableOptions() {}

    static List<ConfigOption<?>> ofACall() {
        return OF_A_CALL;
    }
}
