package io.llamafu.flink.completion;

import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.metrics.groups.OperatorIOMetricGroup;
import org.apache.flink.metrics.groups.OperatorMetricGroup;
import org.apache.flink.metrics.testutils.MetricListener;
import org.apache.flink.runtime.metrics.groups.ProxyMetricGroup;
import org.apache.flink.streaming.util.MockStreamingRuntimeContext;

/** A subtask whose metrics can be read. */
final class ListenedRuntimeContext extends MockStreamingRuntimeContext {
    private final MetricListener listener = new MetricListener();

    ListenedRuntimeContext() {
        super(1, 0);
    }

    @Override
    public OperatorMetricGroup getMetricGroup() {
        return new ListenedGroup(listener.getMetricGroup());
    }

    long count(String... name) {
        return listener.getCounter(name).orElseThrow().getCount();
    }

    boolean hasCounter(String... name) {
        return listener.getCounter(name).isPresent();
    }

    boolean rateIsThere(String... name) {
        return listener.getMeter(name).isPresent();
    }

    double mean(String... histogram) {
        return listener.getHistogram(histogram).orElseThrow().getStatistics().getMean();
    }

    Object gauge(String... name) {
        return listener.getGauge(name).orElseThrow().getValue();
    }

    private static final class ListenedGroup extends ProxyMetricGroup<MetricGroup> implements OperatorMetricGroup {
        ListenedGroup(MetricGroup parent) {
            super(parent);
        }

        @Override
        public OperatorIOMetricGroup getIOMetricGroup() {
            throw new UnsupportedOperationException("The completion function does not use it.");
        }
    }
}
