package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuConfigOptions;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;

import java.util.List;
import java.util.Set;

/** The options that only SQL has, in addition to those of {@link LlamafuConfigOptions}. */
@PublicEvolving
public final class LlamafuTableOptions {

    /** The name of the module, the function set and the model provider in SQL. */
    static final String IDENTIFIER = "llamafu";

    public static final ConfigOption<ModelTask> TASK = ConfigOptions.key("task")
            .enumType(ModelTask.class)
            .defaultValue(ModelTask.TEXT_GENERATION)
            .withDescription("The task of a model: 'text_generation' answers with any text, 'classification' with one"
                    + " of the labels, 'extraction' with JSON of the json-schema.");

    public static final ConfigOption<List<String>> LABELS = ConfigOptions.key("labels")
            .stringType()
            .asList()
            .noDefaultValue()
            .withDescription("The labels of a model with the task 'classification': a JSON array, or texts separated"
                    + " by ';', each taken exactly.");

    public static final ConfigOption<String> PROFILE = ConfigOptions.key("profile")
            .stringType()
            .noDefaultValue()
            .withDescription("The profile of a call: the job parameters 'llamafu.profile.NAME.*' are its options, so"
                    + " that it can use another model.");

    /** Options that a classification sets itself. */
    static final Set<ConfigOption<?>> OF_LABELS = Set.of(
            LlamafuConfigOptions.MAX_TOKENS,
            LlamafuConfigOptions.STOP,
            LlamafuConfigOptions.GRAMMAR,
            LlamafuConfigOptions.JSON_SCHEMA);

    /** Options that an extraction sets itself. */
    static final Set<ConfigOption<?>> OF_A_SCHEMA =
            Set.of(LlamafuConfigOptions.STOP, LlamafuConfigOptions.GRAMMAR, LlamafuConfigOptions.JSON_SCHEMA);

    private LlamafuTableOptions() {}
}
