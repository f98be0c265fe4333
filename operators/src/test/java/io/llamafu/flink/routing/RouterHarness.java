package io.llamafu.flink.routing;

import io.llamafu.flink.AdapterRoute;
import io.llamafu.flink.OnError;
import io.llamafu.flink.RejectedRoute;
import io.llamafu.flink.RouteVariant;
import org.apache.flink.api.common.state.StateTtlConfig;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.state.StateBackend;
import org.apache.flink.runtime.state.hashmap.HashMapStateBackend;
import org.apache.flink.state.rocksdb.EmbeddedRocksDBStateBackend;
import org.apache.flink.streaming.api.functions.co.KeyedCoProcessFunction;
import org.apache.flink.streaming.api.operators.co.KeyedCoProcessOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.KeyedTwoInputStreamOperatorTestHarness;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.Set;

import static org.assertj.core.api.Assertions.assertThat;

/** A router in the operator that runs it, on a real state backend. */
final class RouterHarness implements AutoCloseable {

    enum Backend {
        HASH_MAP("hashmap") {
            @Override
            StateBackend create() {
                return new HashMapStateBackend();
            }
        },
        ROCKS_DB("rocksdb") {
            @Override
            StateBackend create() {
                return new EmbeddedRocksDBStateBackend();
            }
        };

        private final String identifier;

        Backend(String identifier) {
            this.identifier = identifier;
        }

        abstract StateBackend create();
    }

    /** What a router is made of. */
    record Setting(boolean eventTime, Backend backend, OnError onError, AdapterNames names, StateTtlConfig ttl) {

        static Setting processingTime(Backend backend) {
            return new Setting(false, backend, OnError.EMIT, null, StateTtlConfig.DISABLED);
        }

        static Setting eventTime(Backend backend) {
            return new Setting(true, backend, OnError.EMIT, null, StateTtlConfig.DISABLED);
        }

        Setting onError(OnError newOnError) {
            return new Setting(eventTime, backend, newOnError, names, ttl);
        }

        /** Rejects changes that name others. */
        Setting adapters(String... known) {
            AdapterNames newNames = () -> Set.of(known)::contains;
            return new Setting(eventTime, backend, onError, newNames, ttl);
        }

        Setting ttl(Duration idle) {
            return new Setting(eventTime, backend, onError, names, RouteState.forgottenAfter(idle));
        }

        RouterHarness open() throws Exception {
            return open(null);
        }

        RouterHarness open(OperatorSubtaskState restored) throws Exception {
            RouteChanges changes = new RouteChanges(onError, names, AdapterPrefetch.NONE);
            Carrier<?, RoutedRequest, ?> carrier = new RequestOnly<>();
            return new RouterHarness(
                    eventTime
                            ? new EventTimeRouter<>(changes, carrier, ttl)
                            : new ProcessingTimeRouter<>(changes, carrier, ttl),
                    backend,
                    restored);
        }
    }

    private final KeyedTwoInputStreamOperatorTestHarness<String, RoutedRequest, AdapterRoute, RoutedRequest> harness;

    private RouterHarness(
            KeyedCoProcessFunction<String, RoutedRequest, AdapterRoute, RoutedRequest> router,
            Backend backend,
            OperatorSubtaskState restored)
            throws Exception {
        harness = new KeyedTwoInputStreamOperatorTestHarness<>(
                new KeyedCoProcessOperator<>(router), new RequestOnly<>()::keyOf, RouteChanges::keyOf, Types.STRING);
        harness.setStateBackend(backend.create());
        harness.setup();
        if (restored != null) {
            harness.initializeState(restored);
        }
        harness.open();
        assertThat(operator().getKeyedStateBackend().getBackendTypeIdentifier()).isEqualTo(backend.identifier);
    }

    static RouterHarness processingTime(Backend backend) throws Exception {
        return Setting.processingTime(backend).open();
    }

    static RouterHarness eventTime(Backend backend) throws Exception {
        return Setting.eventTime(backend).open();
    }

    static RoutedRequest request(String key, String id) {
        return RoutedRequest.newBuilder()
                .setKey(key)
                .setId(id)
                .setPrompt("prompt of " + id)
                .setStack("default")
                .build();
    }

    void record(String key, String id) throws Exception {
        harness.processElement1(new StreamRecord<>(request(key, id)));
    }

    void record(String key, String id, long time) throws Exception {
        harness.processElement1(request(key, id), time);
    }

    void record(RoutedRequest request, long time) throws Exception {
        harness.processElement1(request, time);
    }

    void route(String key, String stack) throws Exception {
        harness.processElement2(new StreamRecord<>(new AdapterRoute(key, stack, null, null)));
    }

    void route(String key, String stack, long time) throws Exception {
        harness.processElement2(new AdapterRoute(key, stack, null, null), time);
    }

    void routeValidFrom(String key, String stack, long validFrom) throws Exception {
        harness.processElement2(new StreamRecord<>(new AdapterRoute(key, stack, validFrom, null)));
    }

    void variants(String key, RouteVariant... variants) throws Exception {
        harness.processElement2(new StreamRecord<>(new AdapterRoute(key, null, null, List.of(variants))));
    }

    /** The clock by which idle keys are forgotten. */
    void clock(Duration time) throws Exception {
        harness.setStateTtlProcessingTime(time.toMillis());
    }

    List<RejectedRoute> rejected() {
        Queue<StreamRecord<RejectedRoute>> rejected = harness.getSideOutput(RouteChanges.rejectedTag());
        return rejected == null
                ? List.of()
                : rejected.stream().map(StreamRecord::getValue).toList();
    }

    void watermark(long time) throws Exception {
        harness.processBothWatermarks(new Watermark(time));
    }

    OperatorSubtaskState snapshot() throws Exception {
        return harness.snapshot(1, 1);
    }

    private KeyedCoProcessOperator<?, ?, ?, ?> operator() {
        return (KeyedCoProcessOperator<?, ?, ?, ?>) harness.getOperator();
    }

    RouteHistory history(String key) throws Exception {
        operator().setCurrentKey(key);
        return operator()
                .getRuntimeContext()
                .getState(new ValueStateDescriptor<>("route-history", new AvroTypeInfo<>(RouteHistory.class)))
                .value();
    }

    /** What has left since the last call, as {@code id=stack@time}. */
    List<String> routed() {
        List<String> routed = new ArrayList<>();
        for (RoutedRequest request : requests()) {
            routed.add(request.getId() + "=" + request.getStack());
        }
        return routed;
    }

    List<RoutedRequest> requests() {
        List<RoutedRequest> requests = harness.extractOutputValues();
        harness.getOutput().clear();
        return requests;
    }

    List<StreamRecord<? extends RoutedRequest>> records() {
        List<StreamRecord<? extends RoutedRequest>> records = harness.extractOutputStreamRecords();
        harness.getOutput().clear();
        return records;
    }

    @Override
    public void close() {
        try {
            harness.close();
        } catch (Exception e) {
            throw new IllegalStateException("The harness could not be closed.", e);
        }
    }
}
