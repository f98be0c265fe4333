package io.llamafu.flink;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.engine.SharedEngines;
import io.llamafu.flink.affinity.AffinityPartitioner;
import io.llamafu.flink.completion.CompletionFunction;
import io.llamafu.flink.completion.CompletionOperatorFactory;
import io.llamafu.flink.completion.DeadLetterSplit;
import io.llamafu.flink.completion.EngineClient;
import io.llamafu.flink.completion.EnginePrefetch;
import io.llamafu.flink.completion.LocalCheck;
import io.llamafu.flink.routing.AdapterPrefetch;
import io.llamafu.flink.routing.Carrier;
import io.llamafu.flink.routing.RecordFields;
import io.llamafu.flink.routing.RequestFunction;
import io.llamafu.flink.routing.RequestOnly;
import io.llamafu.flink.routing.WithRecord;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.util.OutputTag;
import org.apache.flink.util.function.SerializableFunction;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

import static org.apache.flink.util.Preconditions.checkArgument;
import static org.apache.flink.util.Preconditions.checkNotNull;
import static org.apache.flink.util.Preconditions.checkState;

/**
 * Describes how the records of a stream are answered; see {@link Llamafu#complete}.
 *
 * <p>Every record yields exactly one {@link Completion} with the record's timestamp: a text, or an error as the option
 * {@code on-error} says. A null key or prompt is such an error, and so is a {@link io.llamafu.LlamafuException} thrown
 * by one of the functions of a record; any other exception fails the job.
 *
 * <p>The stack of a record is the first of these that exists: its own ({@link #stack}), its key's route ({@link
 * #routes}), the first rule that matches its key ({@link #rules}), the rules' default, {@link #defaultRoute}. Then the
 * record's scales are applied ({@link #scales}).
 *
 * @param <T> the records
 */
@PublicEvolving
public final class CompletionBuilder<T> {

    private static final String DEFAULT_UID = "llamafu";

    private final DataStream<T> records;
    private final SerializableFunction<EngineOptions, SharedEngines.Lease> engines;
    private final RoutingPlan routing = new RoutingPlan();
    private Optional<KeySelector<T, String>> key = Optional.empty();
    private Optional<SerializableFunction<T, String>> prompt = Optional.empty();
    private Optional<SerializableFunction<T, String>> id = Optional.empty();
    private Optional<SerializableFunction<T, String>> stack = Optional.empty();
    private Optional<SerializableFunction<T, Map<String, Float>>> scales = Optional.empty();
    private Optional<SerializableFunction<T, SamplingOptions>> recordSampling = Optional.empty();
    private Optional<SerializableFunction<T, Integer>> maxTokens = Optional.empty();
    private Optional<SerializableFunction<T, List<String>>> labels = Optional.empty();
    private Optional<LlamafuOptions> options = Optional.empty();
    private Optional<SamplingOptions> sampling = Optional.empty();
    private Optional<Integer> capacity = Optional.empty();
    private Optional<Double> affinityBound = Optional.empty();
    private AdapterStack defaultRoute = AdapterStack.base();
    private boolean ordered = false;
    private String uid = DEFAULT_UID;

    /** @param engines where the subtasks get their engine from */
    CompletionBuilder(DataStream<T> records, SerializableFunction<EngineOptions, SharedEngines.Lease> engines) {
        this.records = checkNotNull(records, "records is null");
        this.engines = checkNotNull(engines, "engines is null");
    }

    /** The key that chooses a record's route, such as its tenant. Required with {@link #routes} and {@link #rules}. */
    public CompletionBuilder<T> keyBy(KeySelector<T, String> newKey) {
        key = Optional.of(checkNotNull(newKey, "key is null"));
        return this;
    }

    /** The text that replaces {@code {text}} in the option {@code prompt-template}. Required. */
    public CompletionBuilder<T> prompt(SerializableFunction<T, String> newPrompt) {
        prompt = Optional.of(checkNotNull(newPrompt, "prompt is null"));
        return this;
    }

    /**
     * An identity that the {@link Completion} carries, to join it with its record. It also chooses the variant of a
     * route. May be null for a record.
     */
    public CompletionBuilder<T> id(SerializableFunction<T, String> newId) {
        id = Optional.of(checkNotNull(newId, "id is null"));
        return this;
    }

    /** The written form of the stack that answers a record, overriding the routes; null leaves the choice to them. */
    public CompletionBuilder<T> stack(SerializableFunction<T, String> newStack) {
        stack = Optional.of(checkNotNull(newStack, "stack is null"));
        return this;
    }

    /**
     * Scales by adapter, which replace those in the record's stack; null or an empty map changes nothing. A name that
     * is not in the stack is an error of the record.
     */
    public CompletionBuilder<T> scales(SerializableFunction<T, Map<String, Float>> newScales) {
        scales = Optional.of(checkNotNull(newScales, "scales is null"));
        return this;
    }

    /** The most tokens to generate for a record, 1 or more; null falls back to the option {@code max-tokens}. */
    public CompletionBuilder<T> maxTokens(SerializableFunction<T, Integer> newMaxTokens) {
        maxTokens = Optional.of(checkNotNull(newMaxTokens, "maxTokens is null"));
        return this;
    }

    /**
     * The labels of a record, which make its answer one of them, however many tokens that takes; the options {@code scoring},
     * {@code min-confidence}, {@code abstain-label}, {@code calibration} and {@code multi-label} apply to them. They replace the
     * option {@code labels}, and a grammar of the job; null falls back to these. Labels that cannot be answered, or a grammar
     * of the record beside them, are an error of the record.
     */
    public CompletionBuilder<T> labels(SerializableFunction<T, List<String>> newLabels) {
        labels = Optional.of(checkNotNull(newLabels, "labels is null"));
        return this;
    }

    /**
     * Changes of the routes, kept in keyed state.
     *
     * <p>A malformed change (a stack that does not parse, no key, no time in event time) never takes effect. With
     * {@code on-error} = {@code fail} it fails the job with the coded error; otherwise the key's previous route stays,
     * the change is logged, and the metric {@code rejectedRouteChanges} counts it.
     */
    public CompletionBuilder<T> routes(DataStream<AdapterRoute> newRoutes) {
        routing.routes(checkNotNull(newRoutes, "routes is null"));
        return this;
    }

    /**
     * Routes for the keys that match a pattern, and a default for all others, kept in broadcast state. Malformed rules
     * are handled like malformed route changes. In processing time, records that arrive before the first rule take
     * {@link #defaultRoute}.
     */
    public CompletionBuilder<T> rules(DataStream<RouteRule> newRules) {
        routing.rules(checkNotNull(newRules, "rules is null"));
        return this;
    }

    /**
     * Drops the route of a key that has had neither a record nor a change for this long, by the clock of the
     * TaskManager; the key's records then follow the rules and the default route. A waiting record keeps its route in
     * use, and time before a restart does not count. Unless set, routes stay forever.
     */
    public CompletionBuilder<T> routeTtl(Duration ttl) {
        checkArgument(
                checkNotNull(ttl, "ttl is null").compareTo(Duration.ofMillis(1)) >= 0,
                "routeTtl is %s, but must be 1 ms or more.",
                ttl);
        routing.routeTtl(ttl);
        return this;
    }

    /** What happens to a route change or rule that names an unknown adapter; by default, its records fail. */
    public CompletionBuilder<T> unknownAdapters(UnknownAdapters policy) {
        routing.unknownAdapters(checkNotNull(policy, "policy is null"));
        return this;
    }

    /** The stack of records that match neither a route nor a rule; the base model unless set. */
    public CompletionBuilder<T> defaultRoute(AdapterStack newDefaultRoute) {
        defaultRoute = checkNotNull(newDefaultRoute, "defaultRoute is null");
        return this;
    }

    /** A record takes the newest route that its key has seen, for the lowest latency. The default. */
    public CompletionBuilder<T> processingTime() {
        routing.time(RoutingPlan.Time.PROCESSING);
        return this;
    }

    /**
     * A record of time t takes the newest route with a time of t or earlier, decided when the watermark passes t, so
     * the same input is always routed the same way. All streams need timestamps and watermarks; if route changes are
     * rare, records wait for the next one unless there are watermarks in between. {@code
     * WatermarkStrategy.withIdleness} helps too, but then a change that arrives after a pause can be late, depending on
     * the clock.
     *
     * <p>A late record (its time is not after the watermark) is routed at once, with the routes still held.
     */
    public CompletionBuilder<T> eventTime() {
        routing.time(RoutingPlan.Time.EVENT);
        return this;
    }

    /**
     * Emits completions as they are ready, and a watermark when all records before it are done, so no completion
     * becomes late. The default.
     */
    public CompletionBuilder<T> unordered() {
        ordered = false;
        return this;
    }

    /**
     * Emits the completions of a subtask in the order of their records; one slow record delays those behind it. A
     * restart with another parallelism or from an unaligned checkpoint redistributes the records in flight, and so may
     * reorder them once, even within a key.
     */
    public CompletionBuilder<T> ordered() {
        ordered = true;
        return this;
    }

    /**
     * The most records in flight in one subtask; twice {@code parallel-sequences} unless set. They are part of each
     * checkpoint. Waiting for a sequence slot does not count towards {@code timeout}.
     */
    public CompletionBuilder<T> capacity(int newCapacity) {
        checkArgument(newCapacity >= 1, "capacity is %s, but must be 1 or more.", newCapacity);
        capacity = Optional.of(newCapacity);
        return this;
    }

    /**
     * Sends records with the same adapters to few subtasks, for jobs with more adapters than a TaskManager can hold.
     * The records of a key are then answered by several subtasks, so their order is lost.
     *
     * @param loadBound the most records that a subtask gets, relative to the mean: above 1, such as 1.25. The closer to
     *     1, the more records are sent to subtasks without their adapters
     */
    public CompletionBuilder<T> affinity(double loadBound) {
        affinityBound = Optional.of(AffinityPartitioner.checkLoadBound(loadBound));
        return this;
    }

    /** How tokens are chosen, replacing the sampling options given to {@link #with}. */
    public CompletionBuilder<T> sampling(SamplingOptions newSampling) {
        sampling = Optional.of(checkNotNull(newSampling, "sampling is null"));
        return this;
    }

    /** How the tokens of a record are chosen, overriding the job's options; null falls back to them. */
    public CompletionBuilder<T> sampling(SerializableFunction<T, SamplingOptions> newSampling) {
        recordSampling = Optional.of(checkNotNull(newSampling, "sampling is null"));
        return this;
    }

    /** The model, the adapters and the limits. Required. */
    public CompletionBuilder<T> with(LlamafuOptions newOptions) {
        options = Optional.of(checkNotNull(newOptions, "options is null"));
        return this;
    }

    /**
     * Prefix of the operators' uids, {@code llamafu} unless set. A job with two completions needs two prefixes. Keep
     * them across versions of a job, because savepoints find the routes by uid.
     */
    public CompletionBuilder<T> uid(String newUid) {
        checkArgument(!checkNotNull(newUid, "uid is null").isBlank(), "uid is blank, but savepoints need a name.");
        uid = newUid;
        return this;
    }

    /**
     * Adds the operators to the job and returns a completion for each record.
     *
     * @throws IllegalStateException if a setting is missing or two contradict each other; the message says why
     * @throws io.llamafu.LlamafuException if files of this machine show that no engine can be opened: with
     *     MODEL_NOT_FOUND, MODEL_INVALID, OUT_OF_MEMORY for a {@code memory-budget} that is too small,
     *     CHAT_TEMPLATE_INVALID or INVALID_OPTION
     */
    public SingleOutputStreamOperator<Completion> build() {
        return assemble(new RequestOnly<>()).outcomes();
    }

    /** Like {@link #build()}, with the record beside its completion; checkpoints then include the records in flight. */
    public SingleOutputStreamOperator<Answered<T>> buildWithRecords() {
        return assemble(new WithRecord<>(records.getType())).outcomes();
    }

    /** Like {@link #buildWithRecords()}, with failed records and rejected changes in separate streams. */
    public CompletionStreams<T> buildStreams() {
        Assembly<Answered<T>> assembly = assemble(new WithRecord<>(records.getType()));
        OutputTag<Answered<T>> deadLetters = DeadLetterSplit.tag(records.getType());
        SingleOutputStreamOperator<Answered<T>> answered = assembly.outcomes()
                .process(new DeadLetterSplit<>(deadLetters))
                .returns(Answered.type(records.getType()))
                .name("Llamafu dead letters")
                .uid(uid + "-dead-letters");
        return new CompletionStreams<>(answered, answered.getSideOutput(deadLetters), assembly.rejectedRoutes());
    }

    private record Assembly<R>(
            SingleOutputStreamOperator<R> outcomes, Optional<DataStream<RejectedRoute>> rejectedRoutes) {}

    private <E, R> Assembly<R> assemble(Carrier<T, E, R> carrier) {
        sanityCheck();
        LlamafuOptions settings = options.orElseThrow();
        LocalCheck.check(settings);
        RoutingPlan.Routed<E> routed = routing.attach(toRequests(carrier), carrier, settings, prefetch(settings), uid);
        DataStream<E> elements = affinityBound
                .map(bound -> new AffinityPartitioner<>(bound, carrier).partition(routed.elements()))
                .orElse(routed.elements());
        return new Assembly<>(complete(elements, carrier), routed.rejected());
    }

    /** Without affinity, a router's records are answered in the subtask chained to it, so it can prefetch for them. */
    private AdapterPrefetch prefetch(LlamafuOptions settings) {
        return affinityBound.isPresent() ? AdapterPrefetch.NONE : new EnginePrefetch(settings);
    }

    private void sanityCheck() {
        checkState(prompt.isPresent(), "prompt(...) is missing: say which text of a record is to be answered.");
        checkState(options.isPresent(), "with(options) is missing: the options name the model.");
        routing.sanityCheck(key.isPresent());
        checkState(
                affinityBound.isEmpty() || !ordered,
                "affinity(...) and ordered() contradict: affinity spreads the records of a key over subtasks.");
    }

    private <E> DataStream<E> toRequests(Carrier<T, E, ?> carrier) {
        RecordFields<T> fields = new RecordFields<>(
                key.orElse(null),
                prompt.orElseThrow(),
                id.orElse(null),
                stack.orElse(null),
                scales.orElse(null),
                recordSampling.orElse(null),
                maxTokens.orElse(null),
                labels.orElse(null));
        RequestFunction<T, E> function =
                new RequestFunction<>(fields, options.orElseThrow().promptTemplate(), defaultRoute, carrier);
        return records.process(function)
                .returns(carrier.elementType())
                .name("Llamafu requests")
                .uid(uid + "-requests");
    }

    private <E, R> SingleOutputStreamOperator<R> complete(DataStream<E> routed, Carrier<T, E, R> carrier) {
        LlamafuOptions settings = options.orElseThrow();
        CompletionFunction<E, R> function =
                new CompletionFunction<>(carrier, settings, sampling.orElse(settings.sampling()), engines);
        CompletionOperatorFactory.Settings limits = new CompletionOperatorFactory.Settings(
                ordered, capacity.orElse(2 * settings.parallelSequences()), EngineClient.patience(settings.timeout()));
        return routed.transform(
                        "Llamafu completion", carrier.outcomeType(), new CompletionOperatorFactory<>(function, limits))
                .uid(uid + "-completion");
    }
}
