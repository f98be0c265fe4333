package io.llamafu.flink;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.flink.completion.CompletionFunction;
import io.llamafu.flink.completion.EngineSession;
import io.llamafu.flink.completion.Leases;
import io.llamafu.flink.routing.EventTimeRouter;
import io.llamafu.flink.routing.ProcessingTimeRouter;
import io.llamafu.flink.routing.RequestFunction;
import io.llamafu.flink.routing.RouteChanges;
import io.llamafu.flink.routing.RoutedRequest;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.datastream.AsyncDataStream;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.functions.co.KeyedCoProcessFunction;
import org.apache.flink.util.function.SerializableFunction;

import java.util.Optional;
import java.util.concurrent.TimeUnit;

import static org.apache.flink.util.Preconditions.checkArgument;
import static org.apache.flink.util.Preconditions.checkNotNull;
import static org.apache.flink.util.Preconditions.checkState;

/**
 * Describes how the records of a stream are answered; see {@link Llamafu#complete}.
 *
 * <p>Every record gives exactly one {@link Completion} with the record's timestamp: a text, or an error as the option
 * {@code on-error} says. A null key or prompt is such an error.
 *
 * @param <T> the records
 */
@PublicEvolving
public final class CompletionBuilder<T> {

    private static final String DEFAULT_UID = "llamafu";

    private enum RoutingTime {
        PROCESSING,
        EVENT
    }

    private final DataStream<T> records;
    private Optional<KeySelector<T, String>> key = Optional.empty();
    private Optional<SerializableFunction<T, String>> prompt = Optional.empty();
    private Optional<SerializableFunction<T, String>> id = Optional.empty();
    private Optional<DataStream<AdapterRoute>> routes = Optional.empty();
    private Optional<RoutingTime> routingTime = Optional.empty();
    private Optional<LlamafuOptions> options = Optional.empty();
    private Optional<SamplingOptions> sampling = Optional.empty();
    private Optional<Integer> capacity = Optional.empty();
    private AdapterStack defaultRoute = AdapterStack.base();
    private boolean ordered = false;
    private String uid = DEFAULT_UID;
    private Leases leases = Leases::shared;

    CompletionBuilder(DataStream<T> records) {
        this.records = checkNotNull(records, "records is null");
    }

    /** The key that chooses a record's route, such as its tenant. Required with {@link #routes}. */
    public CompletionBuilder<T> keyBy(KeySelector<T, String> newKey) {
        key = Optional.of(checkNotNull(newKey, "key is null"));
        return this;
    }

    /** The text that the option {@code prompt-template} frames. Required. */
    public CompletionBuilder<T> prompt(SerializableFunction<T, String> newPrompt) {
        prompt = Optional.of(checkNotNull(newPrompt, "prompt is null"));
        return this;
    }

    /** An identity that the {@link Completion} carries, to join it with its record. May be null for a record. */
    public CompletionBuilder<T> id(SerializableFunction<T, String> newId) {
        id = Optional.of(checkNotNull(newId, "id is null"));
        return this;
    }

    /**
     * Changes of the routes, kept in keyed state.
     *
     * <p>A change that cannot be understood (a malformed stack, no key, no time in event time) never takes effect.
     * With {@code on-error} = {@code fail} it fails the job with the coded error; otherwise the key's previous route
     * stays, the change is logged and the metric {@code rejectedRouteChanges} counts it.
     */
    public CompletionBuilder<T> routes(DataStream<AdapterRoute> newRoutes) {
        routes = Optional.of(checkNotNull(newRoutes, "routes is null"));
        return this;
    }

    /** The stack of keys without a route; the base model unless set. */
    public CompletionBuilder<T> defaultRoute(AdapterStack stack) {
        defaultRoute = checkNotNull(stack, "stack is null");
        return this;
    }

    /** A record takes the newest route that its key has seen: the lowest latency. The default. */
    public CompletionBuilder<T> processingTime() {
        routingTime = Optional.of(RoutingTime.PROCESSING);
        return this;
    }

    /**
     * A record of time t takes the newest route with a time of t or earlier, decided when the watermark passes t, so
     * that the same input is always routed alike. Both streams need timestamps and watermarks; where route changes are
     * rare, give them {@code WatermarkStrategy.withIdleness}, or records wait for the next change.
     *
     * <p>A record that is late (its time is not after the watermark) is routed at once, with the routes still held.
     */
    public CompletionBuilder<T> eventTime() {
        routingTime = Optional.of(RoutingTime.EVENT);
        return this;
    }

    /** Completions leave as they are ready, though never across a watermark. The default. */
    public CompletionBuilder<T> unordered() {
        ordered = false;
        return this;
    }

    /** Completions leave in the order of their records; one slow record holds up those behind it. */
    public CompletionBuilder<T> ordered() {
        ordered = true;
        return this;
    }

    /**
     * The most records in flight in one subtask; twice {@code parallel-sequences} unless set. They are part of each
     * checkpoint, and the wait of those without a sequence slot counts towards {@code timeout}.
     */
    public CompletionBuilder<T> capacity(int newCapacity) {
        checkArgument(newCapacity >= 1, "capacity is %s, but must be 1 or more.", newCapacity);
        capacity = Optional.of(newCapacity);
        return this;
    }

    /** How tokens are chosen, in place of the sampling options given to {@link #with}. */
    public CompletionBuilder<T> sampling(SamplingOptions newSampling) {
        sampling = Optional.of(checkNotNull(newSampling, "sampling is null"));
        return this;
    }

    /** The model, the adapters and the limits. Required. */
    public CompletionBuilder<T> with(LlamafuOptions newOptions) {
        options = Optional.of(checkNotNull(newOptions, "options is null"));
        return this;
    }

    /**
     * Prefix of the operators' uids, {@code llamafu} unless set. A job with two completions needs two; keep it over the
     * versions of a job, since savepoints find the routes by it.
     */
    public CompletionBuilder<T> uid(String newUid) {
        checkArgument(!checkNotNull(newUid, "uid is null").isBlank(), "uid is blank, but savepoints need a name.");
        uid = newUid;
        return this;
    }

    /** For tests that must see or hold back what the engine does. */
    CompletionBuilder<T> leases(Leases newLeases) {
        leases = checkNotNull(newLeases, "leases is null");
        return this;
    }

    /**
     * Adds the operators to the job.
     *
     * @throws IllegalStateException if something is missing or contradicts; the message says why
     */
    public SingleOutputStreamOperator<Completion> build() {
        sanityCheck();
        return complete(route(toRequests()));
    }

    private void sanityCheck() {
        checkState(prompt.isPresent(), "prompt(...) is missing: say which text of a record is to be answered.");
        checkState(options.isPresent(), "with(options) is missing: the options name the model.");
        checkState(
                routes.isEmpty() || key.isPresent(),
                "keyBy(...) is missing: routes(...) hold for a key, so each record must have one.");
        checkState(
                routingTime.isEmpty() || routes.isPresent(),
                "routes(...) is missing: processingTime() and eventTime() say which route change a record sees.");
    }

    private SingleOutputStreamOperator<RoutedRequest> toRequests() {
        RequestFunction<T> function = new RequestFunction<>(
                key.orElse(null),
                prompt.orElseThrow(),
                id.orElse(null),
                options.orElseThrow().promptTemplate(),
                defaultRoute);
        return records.process(function)
                .returns(new AvroTypeInfo<>(RoutedRequest.class))
                .name("Llamafu requests")
                .uid(uid + "-requests");
    }

    private DataStream<RoutedRequest> route(DataStream<RoutedRequest> requests) {
        if (routes.isEmpty()) {
            return requests;
        }
        RouteChanges changes = new RouteChanges(options.orElseThrow().onError());
        RoutingTime time = routingTime.orElse(RoutingTime.PROCESSING);
        KeyedCoProcessFunction<String, RoutedRequest, AdapterRoute, RoutedRequest> router =
                switch (time) {
                    case PROCESSING -> new ProcessingTimeRouter(changes);
                    case EVENT -> new EventTimeRouter(changes);
                };
        String suffix =
                switch (time) {
                    case PROCESSING -> "-router";
                    case EVENT -> "-event-time-router";
                };
        return requests.keyBy(RouteChanges::keyOf)
                .connect(routes.get().keyBy(RouteChanges::keyOf))
                .process(router, new AvroTypeInfo<>(RoutedRequest.class))
                .name("Llamafu router")
                .uid(uid + suffix);
    }

    private SingleOutputStreamOperator<Completion> complete(DataStream<RoutedRequest> routed) {
        LlamafuOptions settings = options.orElseThrow();
        CompletionFunction function = new CompletionFunction(settings, sampling.orElse(settings.sampling()), leases);
        long timeout = EngineSession.patience(settings.timeout()).toMillis();
        int inFlight = capacity.orElse(2 * settings.parallelSequences());
        SingleOutputStreamOperator<Completion> completions = ordered
                ? AsyncDataStream.orderedWait(routed, function, timeout, TimeUnit.MILLISECONDS, inFlight)
                : AsyncDataStream.unorderedWait(routed, function, timeout, TimeUnit.MILLISECONDS, inFlight);
        return completions
                .returns(new AvroTypeInfo<>(Completion.class))
                .name("Llamafu completion")
                .uid(uid + "-completion");
    }
}
