package io.llamafu.flink.label;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.FinishReason;
import io.llamafu.engine.LabelChoice.Scoring;
import io.llamafu.flink.LlamafuConfigOptions;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.artifact.SmallFile;
import io.llamafu.flink.options.LabelOptions;
import io.llamafu.flink.options.TextList;
import io.llamafu.grammar.LabelGrammar;
import org.apache.flink.configuration.ConfigOption;

import java.util.List;
import java.util.Locale;
import java.util.Map;

/** What is asked for. */
enum LabelTask {
    /** Any text. */
    COMPLETE,
    /** One of the labels, or with {@code multi-label} a subset of them. */
    CLASSIFY,
    /** JSON of a schema. */
    EXTRACT;

    private static final int MOST_FILE_BYTES = 16 << 20;

    /**
     * Adds what the job's own options say to the options of the engine. Labels get a confidence unless {@code scoring} is set,
     * because the one of the path costs nothing.
     */
    static void complete(LabelArguments arguments, Map<String, String> engine) {
        arguments
                .get(LabelOption.LABELS_FILE)
                .ifPresent(location -> put(
                        engine,
                        LlamafuConfigOptions.LABELS.key(),
                        LabelOption.LABELS_FILE,
                        TextList.format(file(LabelOption.LABELS_FILE, location)
                                .lines()
                                .filter(line -> !line.isEmpty())
                                .toList())));
        arguments
                .get(LabelOption.SCHEMA)
                .ifPresent(location -> put(
                        engine,
                        LlamafuConfigOptions.JSON_SCHEMA.key(),
                        LabelOption.SCHEMA,
                        file(LabelOption.SCHEMA, location)));
        if (engine.containsKey(LlamafuConfigOptions.LABELS.key())
                && !Boolean.parseBoolean(engine.get(LlamafuConfigOptions.MULTI_LABEL.key()))) {
            engine.putIfAbsent(
                    LlamafuConfigOptions.SCORING.key(), Scoring.PATH.name().toLowerCase(Locale.ROOT));
        }
    }

    private static void put(Map<String, String> engine, String key, LabelOption option, String value) {
        if (engine.put(key, value) != null) {
            throw LabelArguments.invalid("--%s and --%s are both set; leave one out.".formatted(key, option.key()));
        }
    }

    private static String file(LabelOption option, String location) {
        return SmallFile.read(option.key(), location, MOST_FILE_BYTES, ErrorCode.INVALID_OPTION);
    }

    /** @throws LlamafuException with INVALID_OPTION if the options say another task than {@code task} */
    static LabelTask of(LabelArguments arguments, LlamafuOptions options) {
        LabelTask task = !options.labels().labels().isEmpty()
                ? CLASSIFY
                : options.toMap().containsKey(LlamafuConfigOptions.JSON_SCHEMA.key()) ? EXTRACT : COMPLETE;
        String written = arguments.get(LabelOption.TASK).orElse(task.name());
        if (!written.equalsIgnoreCase(task.name())) {
            throw LabelArguments.invalid(
                    "--task is '%s', but classify needs --labels or --labels-file, extract needs --schema, and complete neither of them."
                            .formatted(written));
        }
        task.requireEffect(LlamafuConfigOptions.STOP, task != COMPLETE, arguments);
        task.requireEffect(LlamafuConfigOptions.MAX_TOKENS, options.labels().multiLabel(), arguments);
        return task;
    }

    /** An option that {@link #apply} overrides. */
    private void requireEffect(ConfigOption<?> option, boolean overridden, LabelArguments arguments) {
        if (overridden && arguments.engine().containsKey(option.key())) {
            throw LabelArguments.invalid(
                    "--%s has no effect, because the %s of an answer say where it ends: leave it out."
                            .formatted(option.key(), this == CLASSIFY ? "labels" : "braces"));
        }
    }

    /** A request with the limits of the options {@code max-tokens} and {@code stop}, where they apply. */
    CompletionRequest apply(CompletionRequest request, LabelOptions labels) {
        return switch (this) {
            case COMPLETE -> request;
            case CLASSIFY ->
                labels.multiLabel()
                        ? request.withStop().withMaxTokens(LabelGrammar.maxTokensOfSubset(labels.labels()))
                        : request.withStop();
            case EXTRACT -> request.withStop();
        };
    }

    /** @throws LlamafuException with ANSWER_INCOMPLETE if the answer ended too early */
    void check(CompletionResult answer) {
        if (this != COMPLETE && answer.finishReason() != FinishReason.END_OF_GENERATION) {
            throw new LlamafuException(
                    ErrorCode.ANSWER_INCOMPLETE,
                    "The answer ended after %d tokens (%s), before it was %s: '%s'. Shorten the text, or raise context-size or max-tokens."
                            .formatted(
                                    answer.generatedTokens(),
                                    answer.finishReason(),
                                    this == CLASSIFY ? "one of the labels" : "complete JSON",
                                    answer.text()));
        }
    }

    /** Of all options that {@link LlamafuOptions#labels} is made of. */
    static String digestOf(LlamafuOptions options) {
        return List.of(
                        LlamafuConfigOptions.LABELS,
                        LlamafuConfigOptions.SCORING,
                        LlamafuConfigOptions.MIN_CONFIDENCE,
                        LlamafuConfigOptions.ABSTAIN_LABEL,
                        LlamafuConfigOptions.CALIBRATION,
                        LlamafuConfigOptions.MULTI_LABEL)
                .stream()
                .map(option -> options.toMap().getOrDefault(option.key(), ""))
                .toList()
                .toString();
    }
}
