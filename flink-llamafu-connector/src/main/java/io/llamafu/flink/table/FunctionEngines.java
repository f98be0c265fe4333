package io.llamafu.flink.table;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.flink.LlamafuConfigOptions;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.OnError;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.SpecializedFunction.SpecializedContext;

import java.io.Serializable;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;

/**
 * The engines that a function asks: the one that its options name, and one for each profile of the job parameters, opened
 * by the first call that names it. A call names a profile, never a file.
 */
final class FunctionEngines implements Serializable {
    private static final long serialVersionUID = 1L;

    private static final String PARAMETER = LlamafuTableOptions.IDENTIFIER + ".";
    private static final String PROFILE_PARAMETER = PARAMETER + LlamafuTableOptions.PROFILE.key() + ".";

    /** The profile of a call that names none. */
    private static final String OWN = "";

    /** How long a model that could not be opened is not tried again: each try may read all of it. */
    private static final Duration PAUSE = Duration.ofSeconds(30);

    /** Of a timeout where nobody else gives up. */
    static final Duration NO_LIMIT = Duration.ofDays(365);

    private final LlmFunctionName function;
    private final Map<String, String> options;
    private final Map<String, Asker> askers;

    private transient FunctionContext context;
    private transient Set<String> opened;
    private transient Map<String, FailedOpening> failedOpenings;
    private transient Memo<Map<String, String>, Call> calls;

    private record FailedOpening(LlamafuException failure, long sinceNanos) {}

    /** What the options of a call come to. */
    private record Call(String profile, Map<String, String> changes) {}

    private record Addressed(Asker asker, Asker.Question question) {}

    private FunctionEngines(LlmFunctionName function, Map<String, String> options, Map<String, Asker> askers) {
        this.function = function;
        this.options = Map.copyOf(options);
        this.askers = askers;
    }

    /** Not yet planned, with the options that the job parameters will have. */
    static FunctionEngines of(LlmFunctionName function) {
        return new FunctionEngines(function, Map.of(), Map.of());
    }

    /**
     * Not yet planned, with these options.
     *
     * @throws LlamafuException with INVALID_OPTION
     */
    static FunctionEngines of(LlmFunctionName function, LlamafuOptions options) {
        FunctionEngines engines = new FunctionEngines(function, options.toMap(), Map.of());
        Asker unused = engines.asker(engines.options, NO_LIMIT);
        return engines;
    }

    /**
     * With all that the call and the job say, checked.
     *
     * @param longest after which nobody waits for an answer
     * @throws LlamafuException with INVALID_OPTION, or the code of what is wrong with a constant argument
     */
    FunctionEngines planned(SpecializedContext context, Duration longest) {
        function.checkConstants(context.getCallContext());
        Map<String, Map<String, String>> profiles = profiles(context.getConfiguration());
        if (!options.isEmpty()) {
            profiles.put(OWN, options);
        }
        if (profiles.isEmpty()) {
            throw invalid(
                    "%s has no model: LOAD MODULE llamafu WITH ('model' = '/models/base.gguf'), or set the job parameter 'llamafu.model', as in SET 'pipeline.global-job-parameters' = 'llamafu.model:/models/base.gguf'."
                            .formatted(function));
        }
        Map<String, Asker> planned = new HashMap<>();
        profiles.forEach((name, ofProfile) -> planned.put(name, asker(ofProfile, longest)));
        return new FunctionEngines(function, options, planned);
    }

    private Asker asker(Map<String, String> ofProfile, Duration longest) {
        Map<String, String> all = new HashMap<>(ofProfile);
        if (function.emitsErrors()) {
            all.put(LlamafuConfigOptions.ON_ERROR.key(), OnError.EMIT.name());
        }
        CallOptions checked = new CallOptions(
                function.name(),
                all,
                List.of(),
                function.changeable(),
                function.emitsErrors() ? Set.of(OnError.EMIT) : Set.of(OnError.FAIL, OnError.NULL),
                longest);
        CallSettings unused = checked.settings();
        return new Asker(checked);
    }

    /** By name; the own options of the job parameters under {@link #OWN}. */
    private static Map<String, Map<String, String>> profiles(ReadableConfig configuration) {
        Map<String, Map<String, String>> profiles = new TreeMap<>();
        configuration
                .getOptional(PipelineOptions.GLOBAL_JOB_PARAMETERS)
                .orElse(Map.of())
                .forEach((key, value) -> {
                    if (key.startsWith(PROFILE_PARAMETER)) {
                        String rest = key.substring(PROFILE_PARAMETER.length());
                        int dot = rest.indexOf('.');
                        if (dot < 1) {
                            throw invalid("The job parameter '%s' is none: write it like '%sNAME.model'."
                                    .formatted(key, PROFILE_PARAMETER));
                        }
                        add(profiles, rest.substring(0, dot), rest.substring(dot + 1), value);
                    } else if (key.startsWith(PARAMETER)) {
                        add(profiles, OWN, key.substring(PARAMETER.length()), value);
                    }
                });
        return profiles;
    }

    private static void add(Map<String, Map<String, String>> profiles, String name, String key, String value) {
        profiles.computeIfAbsent(name, unused -> new HashMap<>()).put(key, value);
    }

    private static LlamafuException invalid(String message) {
        return new LlamafuException(ErrorCode.INVALID_OPTION, message);
    }

    void open(FunctionContext functionContext) {
        context = functionContext;
        opened = new HashSet<>();
        failedOpenings = new HashMap<>();
        calls = new Memo<>(FunctionEngines::call);
        if (askers.containsKey(OWN)) {
            open(OWN);
        }
    }

    private Asker open(String profile) {
        Asker asker = askers.get(profile);
        if (asker == null) {
            throw invalid("%s. The job parameters '%sNAME.*' name the profiles: %s."
                    .formatted(
                            profile.equals(OWN)
                                    ? "A call of %s that names no profile has no model".formatted(function)
                                    : "There is no profile '%s'".formatted(profile),
                            PROFILE_PARAMETER,
                            askers.keySet().stream()
                                    .filter(name -> !name.equals(OWN))
                                    .sorted()
                                    .collect(Collectors.joining(", "))));
        }
        if (!opened.contains(profile)) {
            requirePause(profile);
            try {
                asker.open(context, metrics(profile));
            } catch (LlamafuException e) {
                failedOpenings.put(profile, new FailedOpening(e, System.nanoTime()));
                throw e;
            }
            opened.add(profile);
        }
        return asker;
    }

    private void requirePause(String profile) {
        FailedOpening failed = failedOpenings.get(profile);
        if (failed != null && System.nanoTime() - failed.sinceNanos() < PAUSE.toNanos()) {
            throw failed.failure();
        }
    }

    /** A group of its own for each profile: Flink reports a metric that is registered twice in a group only once. */
    private MetricGroup metrics(String profile) {
        MetricGroup ofFunction = context.getMetricGroup().addGroup("function", function.name());
        return profile.equals(OWN) ? ofFunction : ofFunction.addGroup("profile", profile);
    }

    private static Call call(Map<String, String> given) {
        Map<String, String> changes = new HashMap<>(given);
        if (!changes.containsKey(LlamafuTableOptions.PROFILE.key())) {
            return new Call(OWN, changes);
        }
        String profile = changes.remove(LlamafuTableOptions.PROFILE.key());
        if (profile == null) {
            throw invalid("The options of a call have a NULL value of 'profile'; leave it out.");
        }
        return new Call(profile, changes);
    }

    /** The engine of the function's own options. */
    InferenceEngine engine() {
        return open(OWN).engine();
    }

    /** Asks without waiting. Does not throw. */
    CompletableFuture<Outcome> ask(Asker.Question question) {
        try {
            Addressed addressed = address(question);
            return addressed.asker().ask(addressed.question());
        } catch (LlamafuException e) {
            return function.emitsErrors()
                    ? CompletableFuture.completedFuture(Outcome.failed(e))
                    : CompletableFuture.failedFuture(e);
        }
    }

    /**
     * Asks and waits.
     *
     * @throws LlamafuException if it failed, and {@code on-error} is {@code fail}
     */
    Outcome askAndWait(Asker.Question question) {
        Addressed addressed;
        try {
            addressed = address(question);
        } catch (LlamafuException e) {
            if (function.emitsErrors()) {
                return Outcome.failed(e);
            }
            throw e;
        }
        return addressed.asker().askAndWait(addressed.question());
    }

    /**
     * Who answers a question. If that is nobody, it is an error of the record, about which the function's own options
     * decide.
     *
     * @throws LlamafuException if it has none
     */
    private Addressed address(Asker.Question question) {
        try {
            Call call = calls.get(question.changes());
            return new Addressed(open(call.profile()), question.withChanges(call.changes()));
        } catch (LlamafuException e) {
            if (!askers.containsKey(OWN)) {
                throw e;
            }
            return new Addressed(open(OWN), question.failing(e));
        }
    }

    /** Idempotent; does not throw. */
    void close() {
        askers.values().forEach(Asker::close);
    }
}
