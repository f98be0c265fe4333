package io.llamafu.flink.routing;

import io.llamafu.flink.AdapterRoute;
import io.llamafu.flink.OnError;
import io.llamafu.flink.RejectedRoute;
import io.llamafu.flink.RouteVariant;
import io.llamafu.flink.records.RecordTypeInfo;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.state.StateBackend;
import org.apache.flink.runtime.state.hashmap.HashMapStateBackend;
import org.apache.flink.state.rocksdb.EmbeddedRocksDBStateBackend;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.TwoInputStreamOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.mailbox.Mail;
import org.apache.flink.streaming.runtime.tasks.mailbox.TaskMailbox;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;
import org.apache.flink.streaming.util.KeyedTwoInputStreamOperatorTestHarness;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;
import org.apache.flink.util.function.SerializableSupplier;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.Set;
import java.util.function.Predicate;

import static org.assertj.core.api.Assertions.assertThat;

/** A router in its operator, on a real state backend. */
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

    /** The settings of a router. */
    record Setting(
            boolean eventTime,
            Backend backend,
            OnError onError,
            SerializableSupplier<Predicate<String>> names,
            Duration ttl) {

        static Setting processingTime(Backend backend) {
            return new Setting(false, backend, OnError.EMIT, null, null);
        }

        static Setting eventTime(Backend backend) {
            return new Setting(true, backend, OnError.EMIT, null, null);
        }

        Setting onError(OnError newOnError) {
            return new Setting(eventTime, backend, newOnError, names, ttl);
        }

        /** Rejects changes that name other adapters. */
        Setting adapters(String... known) {
            SerializableSupplier<Predicate<String>> newNames = () -> Set.of(known)::contains;
            return new Setting(eventTime, backend, onError, newNames, ttl);
        }

        Setting ttl(Duration idle) {
            return new Setting(eventTime, backend, onError, names, idle);
        }

        RouterHarness open() throws Exception {
            return open(null);
        }

        RouterHarness open(OperatorSubtaskState restored) throws Exception {
            return open(restored, Duration.ZERO);
        }

        /** At a time of the clock. */
        RouterHarness open(OperatorSubtaskState restored, Duration clock) throws Exception {
            Carrier<?, RoutedRequest, ?> carrier = new RequestOnly<>();
            return new RouterHarness(
                    eventTime
                            ? new EventTimeRouter<>(AdapterPrefetch.NONE, carrier, ttl)
                            : new ProcessingTimeRouter<>(AdapterPrefetch.NONE, carrier, ttl),
                    this,
                    restored,
                    clock);
        }
    }

    private final OneInputStreamOperatorTestHarness<AdapterRoute, AdapterRoute> check;
    private final KeyedTwoInputStreamOperatorTestHarness<String, RoutedRequest, AdapterRoute, RoutedRequest> harness;

    private RouterHarness(
            TwoInputStreamOperator<RoutedRequest, AdapterRoute, RoutedRequest> router,
            Setting setting,
            OperatorSubtaskState restored,
            Duration clock)
            throws Exception {
        check = new OneInputStreamOperatorTestHarness<>(
                ChangeCheck.ofRoutes(new RouteChanges(setting.onError(), setting.names()), setting.eventTime()));
        check.open();
        harness = new KeyedTwoInputStreamOperatorTestHarness<>(
                router, new RequestOnly<>()::keyOf, RouteChanges::keyOf, Types.STRING);
        harness.setStateBackend(setting.backend().create());
        harness.setup();
        harness.setProcessingTime(clock.toMillis());
        if (restored != null) {
            harness.initializeState(restored);
        }
        harness.open();
        assertThat(operator().getKeyedStateBackend().getBackendTypeIdentifier())
                .isEqualTo(setting.backend().identifier);
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
        change(new StreamRecord<>(new AdapterRoute(key, stack, null, null)));
    }

    void route(String key, String stack, long time) throws Exception {
        change(new StreamRecord<>(new AdapterRoute(key, stack, null, null), time));
    }

    void routeValidFrom(String key, String stack, long validFrom) throws Exception {
        change(new StreamRecord<>(new AdapterRoute(key, stack, validFrom, null)));
    }

    void variants(String key, RouteVariant... variants) throws Exception {
        change(new StreamRecord<>(new AdapterRoute(key, null, null, Arrays.asList(variants))));
    }

    /** A change passes the check, as in a job. */
    private void change(StreamRecord<AdapterRoute> change) throws Exception {
        check.processElement(change);
        for (StreamRecord<? extends AdapterRoute> valid : check.extractOutputStreamRecords()) {
            harness.processElement2(new StreamRecord<>(valid.getValue()));
        }
        check.getOutput().clear();
    }

    /** The clock by which idle keys expire. */
    void clock(Duration time) throws Exception {
        harness.setProcessingTime(time.toMillis());
    }

    /** Simulates other work of the task, so that at most one record is released. */
    void interrupt() throws Exception {
        mailbox().put(new Mail(() -> {}, TaskMailbox.MAX_PRIORITY, "something else"));
    }

    private TaskMailbox mailbox() {
        return harness.getTaskMailbox();
    }

    /** One mail. */
    boolean runMail() throws Exception {
        Optional<Mail> mail = mailbox().tryTake(TaskMailbox.MIN_PRIORITY);
        if (mail.isPresent()) {
            mail.get().run();
        }
        return mail.isPresent();
    }

    /** The newest watermark emitted. */
    Optional<Long> watermarkOut() {
        return harness.getOutput().stream()
                .filter(Watermark.class::isInstance)
                .map(mark -> ((Watermark) mark).getTimestamp())
                .reduce((first, second) -> second);
    }

    void finish() throws Exception {
        harness.getOperator().finish();
    }

    int waitingTimers() {
        return harness.numEventTimeTimers();
    }

    List<RejectedRoute> rejected() {
        Queue<StreamRecord<RejectedRoute>> rejected = check.getSideOutput(RouteChanges.rejectedTag());
        return rejected == null
                ? List.of()
                : rejected.stream().map(StreamRecord::getValue).toList();
    }

    void watermark(long time) throws Exception {
        harness.processBothWatermarks(new Watermark(time));
    }

    /** Of the records. */
    void status1(WatermarkStatus status) throws Exception {
        harness.processWatermarkStatus1(status);
    }

    /** Of the changes. */
    void status2(WatermarkStatus status) throws Exception {
        harness.processWatermarkStatus2(status);
    }

    /** Everything emitted since the last call except records, in order. */
    List<Object> marksOut() {
        List<Object> marks = new ArrayList<>();
        for (Object out : harness.getOutput()) {
            if (!(out instanceof StreamRecord)) {
                marks.add(out);
            }
        }
        harness.getOutput().clear();
        return marks;
    }

    OperatorSubtaskState snapshot() throws Exception {
        return harness.snapshot(1, 1);
    }

    private AbstractStreamOperator<?> operator() {
        return (AbstractStreamOperator<?>) harness.getOperator();
    }

    RouteHistory history(String key) throws Exception {
        operator().setCurrentKey(key);
        return operator()
                .getRuntimeContext()
                .getState(new ValueStateDescriptor<>("route-history", new RecordTypeInfo<>(RouteHistory.class)))
                .value();
    }

    /** The number of changes whose time is still to come. */
    int coming(String key) throws Exception {
        operator().setCurrentKey(key);
        MapState<Long, RouteVersion> coming = operator()
                .getRuntimeContext()
                .getMapState(new MapStateDescriptor<>(
                        "coming-routes", Types.LONG, new RecordTypeInfo<>(RouteVersion.class)));
        int count = 0;
        for (Long time : coming.keys()) {
            assertThat(time).isNotNull();
            count++;
        }
        return count;
    }

    /** The records emitted since the last call, as {@code id=stack@time}. */
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
            check.close();
            harness.close();
        } catch (Exception e) {
            throw new IllegalStateException("The harness could not be closed.", e);
        }
    }
}
