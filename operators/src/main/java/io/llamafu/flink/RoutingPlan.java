package io.llamafu.flink;

import io.llamafu.adapter.AdapterSource;
import io.llamafu.flink.records.RecordTypeInfo;
import io.llamafu.flink.routing.AdapterPrefetch;
import io.llamafu.flink.routing.Carrier;
import io.llamafu.flink.routing.ChangeCheck;
import io.llamafu.flink.routing.EventTimeRouter;
import io.llamafu.flink.routing.EventTimeRules;
import io.llamafu.flink.routing.ProcessingTimeRouter;
import io.llamafu.flink.routing.ProcessingTimeRules;
import io.llamafu.flink.routing.RouteChanges;
import io.llamafu.flink.routing.RuleBook;
import io.llamafu.flink.routing.RuleTexts;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.KeyedStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.operators.ProcessOperator;
import org.apache.flink.streaming.api.operators.TwoInputStreamOperator;
import org.apache.flink.streaming.api.transformations.TwoInputTransformation;

import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;

import static org.apache.flink.util.Preconditions.checkState;

/**
 * The routing settings of a {@link CompletionBuilder}, and the operators for them: rules first, then the routes of
 * keys, which override them.
 */
final class RoutingPlan {

    enum Time {
        PROCESSING,
        EVENT
    }

    private Optional<DataStream<AdapterRoute>> routes = Optional.empty();
    private Optional<DataStream<RouteRule>> rules = Optional.empty();
    private Optional<Time> time = Optional.empty();
    private Optional<Duration> routeTtl = Optional.empty();
    private Optional<UnknownAdapters> unknownAdapters = Optional.empty();

    /**
     * Requests with their stacks.
     *
     * @param rejected the changes that did not take effect; empty without routes and rules
     */
    record Routed<E>(DataStream<E> elements, Optional<DataStream<RejectedRoute>> rejected) {}

    void routes(DataStream<AdapterRoute> newRoutes) {
        routes = Optional.of(newRoutes);
    }

    void rules(DataStream<RouteRule> newRules) {
        rules = Optional.of(newRules);
    }

    void time(Time newTime) {
        time = Optional.of(newTime);
    }

    void routeTtl(Duration newRouteTtl) {
        routeTtl = Optional.of(newRouteTtl);
    }

    void unknownAdapters(UnknownAdapters policy) {
        unknownAdapters = Optional.of(policy);
    }

    private boolean isEmpty() {
        return routes.isEmpty() && rules.isEmpty();
    }

    void sanityCheck(boolean hasKey) {
        checkState(
                isEmpty() || hasKey,
                "keyBy(...) is missing: routes(...) and rules(...) hold for keys, so each record must have one.");
        checkState(
                time.isEmpty() || !isEmpty(),
                "routes(...) is missing: processingTime() and eventTime() say which route change a record sees.");
        checkState(routeTtl.isEmpty() || routes.isPresent(), "routes(...) is missing: routeTtl(...) is about theirs.");
        checkState(
                unknownAdapters.isEmpty() || !isEmpty(),
                "routes(...) is missing: unknownAdapters(...) says which route changes are rejected.");
    }

    /** As the TaskManager of a task sees them. Nothing is fetched, so there is no cache. */
    static AdapterSource adaptersOf(LlamafuOptions options) {
        return options.artifacts(Path.of("")).adapterSource();
    }

    /** @param prefetch receives the stacks of new routes and rules */
    <E> Routed<E> attach(
            DataStream<E> requests,
            Carrier<?, E, ?> carrier,
            LlamafuOptions options,
            AdapterPrefetch prefetch,
            String uid) {
        boolean reject = unknownAdapters.equals(Optional.of(UnknownAdapters.REJECT_CHANGE));
        RouteChanges changes = new RouteChanges(
                options.onError(), reject ? () -> adaptersOf(options).lookUps() : null);
        Routed<E> routed = new Routed<>(requests, Optional.empty());
        if (rules.isPresent()) {
            routed = applyRules(routed, rules.get(), carrier, changes, prefetch, uid);
        }
        if (routes.isPresent()) {
            routed = applyRoutes(routed, routes.get(), carrier, changes, prefetch, uid);
        }
        return routed;
    }

    private <E> Routed<E> applyRules(
            Routed<E> before,
            DataStream<RouteRule> newRules,
            Carrier<?, E, ?> carrier,
            RouteChanges changes,
            AdapterPrefetch prefetch,
            String uid) {
        TypeInformation<RouteRule> type = new RecordTypeInfo<>(RouteRule.class);
        SingleOutputStreamOperator<RouteRule> written = besideTheSource(newRules)
                .transform("Llamafu rule texts", type, new ProcessOperator<>(new RuleTexts(changes)))
                .setParallelism(newRules.getParallelism())
                .uid(uid + "-rule-check");
        SingleOutputStreamOperator<RouteRule> checked = written.transform(
                        "Llamafu rule check", type, ChangeCheck.ofRules(changes, isEventTime()))
                .forceNonParallel()
                // A chained operator's maximum parallelism in a savepoint would be that of its source.
                .startNewChain()
                // The uid without "in-one" belonged to this operator before its maximum parallelism was 1, which Flink
                // would compare.
                .uid(uid + "-rule-check-in-one");
        DataStream<E> elements = isEventTime()
                ? eventTimeRules(before.elements(), checked, carrier, prefetch, uid)
                : before.elements()
                        .connect(checked.broadcast(RuleBook.descriptor()))
                        .process(new ProcessingTimeRules<>(carrier, prefetch), carrier.elementType())
                        .name("Llamafu rules")
                        .uid(uid + "-rules");
        return after(after(before, elements, written), elements, checked);
    }

    /** Only the records are keyed, so in batch execution Flink reads all rules first. */
    private static <E> DataStream<E> eventTimeRules(
            DataStream<E> elements,
            DataStream<RouteRule> checked,
            Carrier<?, E, ?> carrier,
            AdapterPrefetch prefetch,
            String uid) {
        StreamExecutionEnvironment env = elements.getExecutionEnvironment();
        KeyedStream<E, String> keyed = elements.keyBy(carrier::keyOf, Types.STRING);
        TwoInputTransformation<E, RouteRule, E> rules = new TwoInputTransformation<>(
                keyed.getTransformation(),
                checked.broadcast().getTransformation(),
                "Llamafu rules",
                new EventTimeRules<>(prefetch, carrier),
                carrier.elementType(),
                env.getParallelism(),
                false);
        rules.setStateKeySelectors(keyed.getKeySelector(), null);
        rules.setStateKeyType(keyed.getKeyType());
        rules.setUid(uid + "-event-time-rules");
        env.addOperator(rules);
        return new DataStream<>(env, rules);
    }

    private <E> Routed<E> applyRoutes(
            Routed<E> before,
            DataStream<AdapterRoute> newRoutes,
            Carrier<?, E, ?> carrier,
            RouteChanges changes,
            AdapterPrefetch prefetch,
            String uid) {
        SingleOutputStreamOperator<AdapterRoute> checked = besideTheSource(newRoutes)
                .transform(
                        "Llamafu route check",
                        new RecordTypeInfo<>(AdapterRoute.class),
                        ChangeCheck.ofRoutes(changes, isEventTime()))
                .setParallelism(newRoutes.getParallelism())
                .uid(uid + "-route-check");
        Duration ttl = routeTtl.orElse(null);
        TwoInputStreamOperator<E, AdapterRoute, E> router = isEventTime()
                ? new EventTimeRouter<>(prefetch, carrier, ttl)
                : new ProcessingTimeRouter<>(prefetch, carrier, ttl);
        SingleOutputStreamOperator<E> elements = before.elements()
                .keyBy(carrier::keyOf, Types.STRING)
                .connect(checked.keyBy(RouteChanges::keyOf, Types.STRING))
                .transform("Llamafu router", carrier.elementType(), router)
                .uid(uid + (isEventTime() ? "-event-time-router" : "-router"));
        return after(before, elements, checked);
    }

    /** As a plain stream: the checks have no state, even if the changes come keyed. */
    private static <T> DataStream<T> besideTheSource(DataStream<T> changes) {
        return new DataStream<>(changes.getExecutionEnvironment(), changes.getTransformation());
    }

    /** Adds a stage, and merges what it rejected with the rejections of the stages before it. */
    private static <E> Routed<E> after(
            Routed<E> before, DataStream<E> elements, SingleOutputStreamOperator<?> rejecting) {
        DataStream<RejectedRoute> rejected = rejecting.getSideOutput(RouteChanges.rejectedTag());
        return new Routed<>(
                elements,
                Optional.of(before.rejected()
                        .map(earlier -> earlier.union(rejected))
                        .orElse(rejected)));
    }

    private boolean isEventTime() {
        return time.equals(Optional.of(Time.EVENT));
    }
}
