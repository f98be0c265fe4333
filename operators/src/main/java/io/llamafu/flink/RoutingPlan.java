package io.llamafu.flink;

import io.llamafu.flink.routing.AdapterNames;
import io.llamafu.flink.routing.AdapterPrefetch;
import io.llamafu.flink.routing.Carrier;
import io.llamafu.flink.routing.EventTimeRouter;
import io.llamafu.flink.routing.EventTimeRules;
import io.llamafu.flink.routing.ProcessingTimeRouter;
import io.llamafu.flink.routing.ProcessingTimeRules;
import io.llamafu.flink.routing.RouteChanges;
import io.llamafu.flink.routing.RouteState;
import io.llamafu.flink.routing.RuleBook;
import io.llamafu.flink.routing.RuleCheck;
import org.apache.flink.api.common.state.StateTtlConfig;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.datastream.BroadcastStream;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.functions.co.KeyedCoProcessFunction;

import java.time.Duration;
import java.util.Optional;

import static org.apache.flink.util.Preconditions.checkState;

/**
 * The routing that a {@link CompletionBuilder} was told, and the operators for it: rules first, then the routes of keys,
 * which override them.
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
     * @param rejected what did not take effect; empty without routes and rules
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

    /** @param prefetch told of the stacks of new routes and rules */
    <E> Routed<E> attach(
            DataStream<E> requests,
            Carrier<?, E, ?> carrier,
            LlamafuOptions options,
            AdapterPrefetch prefetch,
            String uid) {
        boolean reject = unknownAdapters.equals(Optional.of(UnknownAdapters.REJECT_CHANGE));
        RouteChanges changes = new RouteChanges(options.onError(), reject ? AdapterNames.of(options) : null, prefetch);
        Routed<E> routed = new Routed<>(requests, Optional.empty());
        if (rules.isPresent()) {
            routed = applyRules(routed, rules.get(), carrier, changes, prefetch, uid);
        }
        if (routes.isPresent()) {
            routed = applyRoutes(routed, routes.get(), carrier, changes, uid);
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
        SingleOutputStreamOperator<RouteRule> checked = newRules.process(new RuleCheck(changes, isEventTime()))
                .setParallelism(1)
                .name("Llamafu rule check")
                .uid(uid + "-rule-check");
        BroadcastStream<RouteRule> broadcast = checked.broadcast(RuleBook.descriptor());
        SingleOutputStreamOperator<E> elements = isEventTime()
                ? before.elements()
                        .keyBy(carrier::keyOf, Types.STRING)
                        .connect(broadcast)
                        .process(new EventTimeRules<>(carrier, prefetch), carrier.elementType())
                        .uid(uid + "-event-time-rules")
                : before.elements()
                        .connect(broadcast)
                        .process(new ProcessingTimeRules<>(carrier, prefetch), carrier.elementType())
                        .uid(uid + "-rules");
        return after(before, elements.name("Llamafu rules"), checked);
    }

    private <E> Routed<E> applyRoutes(
            Routed<E> before,
            DataStream<AdapterRoute> newRoutes,
            Carrier<?, E, ?> carrier,
            RouteChanges changes,
            String uid) {
        StateTtlConfig ttl = routeTtl.map(RouteState::forgottenAfter).orElse(StateTtlConfig.DISABLED);
        KeyedCoProcessFunction<String, E, AdapterRoute, E> router = isEventTime()
                ? new EventTimeRouter<>(changes, carrier, ttl)
                : new ProcessingTimeRouter<>(changes, carrier, ttl);
        SingleOutputStreamOperator<E> elements = before.elements()
                .keyBy(carrier::keyOf, Types.STRING)
                .connect(newRoutes.keyBy(RouteChanges::keyOf, Types.STRING))
                .process(router, carrier.elementType())
                .name("Llamafu router")
                .uid(uid + (isEventTime() ? "-event-time-router" : "-router"));
        return after(before, elements, elements);
    }

    /** A stage more, and what it rejected beside what those before it did. */
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
