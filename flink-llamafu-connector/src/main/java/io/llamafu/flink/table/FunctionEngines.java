package io.llamafu.flink.table;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.Prompt;
import io.llamafu.flink.LlamafuConfigOptions;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.OnError;
import io.llamafu.flink.completion.EngineClient;
import io.llamafu.flink.completion.LocalCheck;
import io.llamafu.flink.completion.Outcome;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.SpecializedFunction.SpecializedContext;

import java.io.Serializable;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/**
 * The engines of a function: the one of its own options, and one for each profile of the job parameters, opened by the
 * first call with that profile. Calls refer to profiles by name, never to files.
 */
final class FunctionEngines implements Serializable {
    private static final long serialVersionUID = 1L;

    private static final String PARAMETER = LlamafuTableOptions.IDENTIFIER + ".";
    private static final String PROFILE_PARAMETER = PARAMETER + LlamafuTableOptions.PROFILE.key() + ".";

    /** The profile of calls without one. */
    private static final String OWN = "";

    /** The time between two attempts to open a model, because each may read the whole file. */
    private static final Duration PAUSE = Duration.ofSeconds(30);

    /** The longest timeout of a caller that waits as long as the engine works. */
    static final Duration NO_LIMIT = Duration.ofDays(365);

    private final LlmFunctionName function;
    private final Map<String, String> options;
    private final boolean deterministic;
    /** By profile; empty before planning. */
    private final Map<String, CallOptions> profiles;

    private transient FunctionContext context;
    private transient Map<String, EngineClient> clients;
    private transient Map<String, FailedOpening> failedOpenings;

    private record FailedOpening(LlamafuException failure, long sinceNanos) {}

    private FunctionEngines(
            LlmFunctionName function,
            Map<String, String> options,
            boolean deterministic,
            Map<String, CallOptions> profiles) {
        this.function = function;
        this.options = options;
        this.deterministic = deterministic;
        this.profiles = profiles;
    }

    /** Before planning, with the options that the job parameters will have. */
    static FunctionEngines of(LlmFunctionName function) {
        return new FunctionEngines(function, Map.of(), false, Map.of());
    }

    /**
     * Before planning, with these options.
     *
     * @throws LlamafuException with INVALID_OPTION
     */
    static FunctionEngines of(LlmFunctionName function, LlamafuOptions options) {
        Map<String, String> written = options.toMap();
        boolean deterministic = isDeterministic(check(function, written).settings());
        return new FunctionEngines(function, written, deterministic, Map.of());
    }

    /**
     * With the validated options of the call and the job.
     *
     * @throws LlamafuException with INVALID_OPTION, or the code of an invalid constant argument
     */
    FunctionEngines planned(SpecializedContext context) {
        function.checkConstants(context.getCallContext());
        Map<String, Map<String, String>> written = parameters(context.getConfiguration());
        if (!options.isEmpty()) {
            written.put(OWN, options);
        }
        if (written.isEmpty()) {
            throw invalid(
                    "%s has no model: LOAD MODULE llamafu WITH ('model' = '/models/base.gguf'), or set the job parameter 'llamafu.model', as in SET 'pipeline.global-job-parameters' = 'llamafu.model:/models/base.gguf'."
                            .formatted(function));
        }
        Map<String, CallOptions> planned = new HashMap<>();
        written.forEach((profile, ofProfile) -> {
            CallOptions checked = check(function, ofProfile);
            LocalCheck.check(checked.settings().options());
            planned.put(profile, checked);
        });
        return new FunctionEngines(function, options, deterministic, planned);
    }

    private static CallOptions check(LlmFunctionName function, Map<String, String> ofProfile) {
        Map<String, String> all = new HashMap<>(ofProfile);
        if (function.emitsErrors()) {
            all.put(LlamafuConfigOptions.ON_ERROR.key(), OnError.EMIT.name());
        }
        return new CallOptions(
                function.name(),
                all,
                List.of(),
                function.changeable(),
                function.emitsErrors() ? Set.of(OnError.EMIT) : Set.of(OnError.FAIL, OnError.NULL),
                NO_LIMIT);
    }

    /**
     * Whether a call with the same arguments gives the same result as long as no adapter is published again. Known only of
     * options that the function had before planning.
     */
    boolean isDeterministic() {
        return deterministic;
    }

    /** A record can run out of time, so its error must not be a result. */
    private static boolean isDeterministic(CallSettings settings) {
        return settings.options().deterministic() && settings.options().onError() == OnError.FAIL;
    }

    /** The job parameters by profile, those without one under {@link #OWN}. */
    private static Map<String, Map<String, String>> parameters(ReadableConfig configuration) {
        Map<String, Map<String, String>> profiles = new TreeMap<>();
        configuration
                .getOptional(PipelineOptions.GLOBAL_JOB_PARAMETERS)
                .orElse(Map.of())
                .forEach((key, value) -> {
                    if (key.startsWith(PROFILE_PARAMETER)) {
                        String rest = key.substring(PROFILE_PARAMETER.length());
                        int dot = rest.indexOf('.');
                        if (dot < 1) {
                            throw invalid("The job parameter '%s' is malformed; write it like '%sNAME.model'."
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

    /** Opens the engine of the function's own options, if it has any. */
    void open(FunctionContext functionContext) {
        context = functionContext;
        clients = new HashMap<>();
        failedOpenings = new HashMap<>();
        if (profiles.containsKey(OWN)) {
            EngineClient unused = client(OWN);
        }
    }

    private EngineClient client(String profile) {
        EngineClient open = clients.get(profile);
        if (open != null) {
            return open;
        }
        CallOptions known = options(profile);
        FailedOpening failed = failedOpenings.get(profile);
        if (failed != null && System.nanoTime() - failed.sinceNanos() < PAUSE.toNanos()) {
            throw failed.failure();
        }
        try {
            EngineClient opened = known.open(context, metrics(profile));
            clients.put(profile, opened);
            return opened;
        } catch (LlamafuException e) {
            failedOpenings.put(profile, new FailedOpening(e, System.nanoTime()));
            throw e;
        }
    }

    private CallOptions options(String profile) {
        CallOptions known = profiles.get(profile);
        if (known == null) {
            throw invalid("%s. The job parameters '%sNAME.*' name the profiles: %s."
                    .formatted(
                            profile.equals(OWN)
                                    ? "A call of %s that names no profile has no model".formatted(function)
                                    : "There is no profile '%s'".formatted(profile),
                            PROFILE_PARAMETER,
                            profiles.keySet().stream()
                                    .filter(name -> !name.equals(OWN))
                                    .sorted()
                                    .collect(Collectors.joining(", "))));
        }
        return known;
    }

    /** A separate group per profile, because Flink reports a metric that is registered twice in a group only once. */
    private MetricGroup metrics(String profile) {
        MetricGroup ofFunction = context.getMetricGroup().addGroup("function", function.name());
        return profile.equals(OWN) ? ofFunction : ofFunction.addGroup("profile", profile);
    }

    /** The engine of the function's own options. */
    InferenceEngine engine() {
        return client(OWN).engine();
    }

    /** The tokens of a text as a prompt, under the function's own options. */
    int countTokens(String text) {
        InferenceEngine engine = engine();
        return engine.countTokens(options(OWN).settings().options().applyControlTokens(Prompt.text(text)));
    }

    /**
     * Asks and waits.
     *
     * @param given options of the call
     * @throws LlamafuException if the record failed and {@code on-error} is {@code fail}
     */
    Outcome ask(Supplier<OutputFormat> format, String text, String stack, Map<String, String> given) {
        EngineClient.OpenRequest asked;
        try {
            asked = start(format, text, stack, given);
        } catch (LlamafuException e) {
            if (function.emitsErrors()) {
                return Outcome.failed(e);
            }
            throw e;
        }
        return asked.await();
    }

    /**
     * A call without an engine is a failure of its record, to which the function's own options apply.
     *
     * @throws LlamafuException if the function has none
     */
    private EngineClient.OpenRequest start(
            Supplier<OutputFormat> format, String text, String stack, Map<String, String> given) {
        try {
            Map<String, String> changes = new HashMap<>(given);
            String profile = removeProfile(changes);
            if (deterministic) {
                requireDeterministic(options(profile).settings(changes));
            }
            EngineClient client = client(profile);
            return client.ask(options(profile).question(format, List.of(text), stack, changes));
        } catch (LlamafuException e) {
            if (!profiles.containsKey(OWN)) {
                throw e;
            }
            return client(OWN).ask(options(OWN).failed(e));
        }
    }

    /** The planner has relied on what the function declares. */
    private void requireDeterministic(CallSettings settings) {
        if (!isDeterministic(settings)) {
            throw invalid(
                    "%s is declared deterministic, but this call has deterministic '%s' and on-error '%s', so that another call could have another result. Leave on-error at 'fail' and name only profiles with deterministic 'true', or call a function whose own options do not have it."
                            .formatted(
                                    function,
                                    settings.options().deterministic(),
                                    settings.options().onError().name().toLowerCase(Locale.ROOT)));
        }
    }

    private static String removeProfile(Map<String, String> changes) {
        if (!changes.containsKey(LlamafuTableOptions.PROFILE.key())) {
            return OWN;
        }
        String profile = changes.remove(LlamafuTableOptions.PROFILE.key());
        if (profile == null) {
            throw invalid("The options of a call have a NULL value of 'profile'; leave it out.");
        }
        return profile;
    }

    /** Idempotent; does not throw. */
    void close() {
        if (clients != null) {
            clients.values().forEach(EngineClient::close);
        }
    }
}
