package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuConfigOptions;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;

import java.util.HashSet;
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

    /** The labels of a model with the task 'classification'; the same as the option of all calls. */
    public static final ConfigOption<List<String>> LABELS = LlamafuConfigOptions.LABELS;

    public static final ConfigOption<String> PROFILE = ConfigOptions.key("profile")
            .stringType()
            .noDefaultValue()
            .withDescription("The profile of a call: the job parameters 'llamafu.profile.NAME.*' are its options, so"
                    + " that it can use another model.");

    /** Options that only answers with labels have; a call that wants them uses a function for labels. */
    static final Set<ConfigOption<?>> OF_A_TEXT = Set.of(
            LlamafuConfigOptions.LABELS,
            LlamafuConfigOptions.SCORING,
            LlamafuConfigOptions.MIN_CONFIDENCE,
            LlamafuConfigOptions.ABSTAIN_LABEL,
            LlamafuConfigOptions.CALIBRATION,
            LlamafuConfigOptions.MULTI_LABEL);

    /** Options that a classification sets itself. */
    static final Set<ConfigOption<?>> OF_LABELS = Set.of(
            LlamafuConfigOptions.MAX_TOKENS,
            LlamafuConfigOptions.STOP,
            LlamafuConfigOptions.GRAMMAR,
            LlamafuConfigOptions.JSON_SCHEMA,
            LlamafuConfigOptions.LABELS);

    /** Those of a classification with scores. */
    static final Set<ConfigOption<?>> OF_SCORES = with(OF_LABELS, LlamafuConfigOptions.MULTI_LABEL);

    /** Options that an extraction sets itself, or that have no meaning for it. */
    static final Set<ConfigOption<?>> OF_A_SCHEMA =
            with(OF_A_TEXT, LlamafuConfigOptions.STOP, LlamafuConfigOptions.GRAMMAR, LlamafuConfigOptions.JSON_SCHEMA);

    static Set<ConfigOption<?>> with(Set<ConfigOption<?>> options, ConfigOption<?>... more) {
        Set<ConfigOption<?>> all = new HashSet<>(options);
        all.addAll(Set.of(more));
        return Set.copyOf(all);
    }

    private LlamafuTableOptions() {}
}
