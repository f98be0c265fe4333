package io.llamafu.flink.routing;

import io.llamafu.flink.RouteRule;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.co.CoBroadcastWithNonKeyedOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.AbstractStreamOperatorTestHarness;
import org.apache.flink.streaming.util.BroadcastOperatorTestHarness;
import org.apache.flink.streaming.util.KeyedTwoInputStreamOperatorTestHarness;

import java.util.ArrayList;
import java.util.List;

/** The rules in their operator. */
record RulesHarness(AbstractStreamOperatorTestHarness<RoutedRequest> harness, Inputs inputs) implements AutoCloseable {
    static final int MAX_PARALLELISM = 8;

    private interface Inputs {
        void record(StreamRecord<RoutedRequest> record) throws Exception;

        void rule(StreamRecord<RouteRule> rule) throws Exception;

        void watermark(Watermark mark) throws Exception;

        void watermarkOfRules(Watermark mark) throws Exception;
    }

    static RulesHarness processingTime(OperatorSubtaskState restored) throws Exception {
        BroadcastOperatorTestHarness<RoutedRequest, RouteRule, RoutedRequest> harness =
                new BroadcastOperatorTestHarness<>(
                        new CoBroadcastWithNonKeyedOperator<>(
                                new ProcessingTimeRules<>(new RequestOnly<>(), AdapterPrefetch.NONE),
                                List.of(RuleBook.descriptor())),
                        1,
                        1,
                        0);
        return open(
                harness,
                new Inputs() {
                    @Override
                    public void record(StreamRecord<RoutedRequest> record) throws Exception {
                        harness.processElement(record);
                    }

                    @Override
                    public void rule(StreamRecord<RouteRule> rule) throws Exception {
                        harness.processBroadcastElement(rule);
                    }

                    @Override
                    public void watermark(Watermark mark) throws Exception {
                        harness.watermark(mark.getTimestamp());
                    }

                    @Override
                    public void watermarkOfRules(Watermark mark) throws Exception {
                        harness.watermark(mark.getTimestamp());
                    }
                },
                restored);
    }

    static RulesHarness eventTime(OperatorSubtaskState restored) throws Exception {
        return eventTime(restored, 1, 0);
    }

    static RulesHarness eventTime(OperatorSubtaskState restored, int parallelism, int subtask) throws Exception {
        RequestOnly<Void> carrier = new RequestOnly<>();
        KeyedTwoInputStreamOperatorTestHarness<String, RoutedRequest, RouteRule, RoutedRequest> harness =
                new KeyedTwoInputStreamOperatorTestHarness<>(
                        new EventTimeRules<>(AdapterPrefetch.NONE, carrier),
                        carrier::keyOf,
                        null,
                        Types.STRING,
                        MAX_PARALLELISM,
                        parallelism,
                        subtask);
        return open(
                harness,
                new Inputs() {
                    @Override
                    public void record(StreamRecord<RoutedRequest> record) throws Exception {
                        harness.processElement1(record);
                    }

                    @Override
                    public void rule(StreamRecord<RouteRule> rule) throws Exception {
                        harness.processElement2(rule);
                    }

                    @Override
                    public void watermark(Watermark mark) throws Exception {
                        harness.processWatermark1(mark);
                        harness.processWatermark2(mark);
                    }

                    @Override
                    public void watermarkOfRules(Watermark mark) throws Exception {
                        harness.processWatermark2(mark);
                    }
                },
                restored);
    }

    private static RulesHarness open(
            AbstractStreamOperatorTestHarness<RoutedRequest> harness, Inputs inputs, OperatorSubtaskState restored)
            throws Exception {
        harness.setup();
        if (restored != null) {
            harness.initializeState(restored);
        }
        harness.open();
        return new RulesHarness(harness, inputs);
    }

    /** Checked before the first watermark. */
    void add(RouteRule rule) throws Exception {
        add(rule, Long.MIN_VALUE);
    }

    void add(RouteRule rule, long judged) throws Exception {
        inputs.rule(new StreamRecord<>(rule, judged));
    }

    void record(String key, String id, long time) throws Exception {
        record(RouterHarness.request(key, id), time);
    }

    void record(RoutedRequest request, long time) throws Exception {
        inputs.record(new StreamRecord<>(request, time));
    }

    void watermark(long time) throws Exception {
        inputs.watermark(new Watermark(time));
    }

    void watermarkOfRules(long time) throws Exception {
        inputs.watermarkOfRules(new Watermark(time));
    }

    OperatorSubtaskState snapshot() throws Exception {
        return harness.snapshot(1, 1);
    }

    /** The names of the rules in the state. */
    List<String> names() throws Exception {
        List<String> names = new ArrayList<>();
        ((AbstractStreamOperator<?>) harness.getOperator())
                .getOperatorStateBackend()
                .getBroadcastState(RuleBook.descriptor())
                .immutableEntries()
                .forEach(rule -> names.add(rule.getKey()));
        return names;
    }

    List<String> routed() {
        List<String> routed = harness.extractOutputValues().stream()
                .map(request -> request.getId() + "=" + request.getStack())
                .toList();
        harness.getOutput().clear();
        return routed;
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
