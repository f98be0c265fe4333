package io.llamafu.flink.routing;

import io.llamafu.flink.AdapterRoute;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.operators.sorted.state.BatchExecutionInternalTimeServiceManager;
import org.apache.flink.streaming.api.operators.sorted.state.BatchExecutionStateBackend;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.KeyedTwoInputStreamOperatorTestHarness;
import org.junit.jupiter.api.Test;

import java.time.Duration;

import static org.assertj.core.api.Assertions.assertThat;

/** The router in a batch job: key by key, with state on the heap that is dropped with its key. */
class BatchRouterTest {

    /** So that the records of a key need not fit into memory. */
    @Test
    @SuppressWarnings("try") // close of the harness may be interrupted
    void recordOfABatchJobWaitsForNothing() throws Exception {
        RequestOnly<Void> carrier = new RequestOnly<>();
        try (KeyedTwoInputStreamOperatorTestHarness<String, RoutedRequest, AdapterRoute, RoutedRequest> harness =
                new KeyedTwoInputStreamOperatorTestHarness<>(
                        new EventTimeRouter<>(AdapterPrefetch.NONE, carrier, Duration.ofHours(1)),
                        carrier::keyOf,
                        RouteChanges::keyOf,
                        Types.STRING)) {
            harness.setStateBackend(new BatchExecutionStateBackend());
            harness.setTimeServiceManagerProvider(BatchExecutionInternalTimeServiceManager::create);
            harness.open();
            for (String key : new String[] {"a", "b"}) {
                harness.processElement2(new StreamRecord<>(new AdapterRoute(key, key + "-20", 20L, null)));
                harness.processElement2(new StreamRecord<>(new AdapterRoute(key, key + "-10", 10L, null)));
                for (int time = 1; time < 30; time++) {
                    harness.processElement1(RouterHarness.request(key, String.valueOf(time)), time);

                    String stack = time < 10 ? "default" : key + (time < 20 ? "-10" : "-20");
                    assertThat(harness.extractOutputValues())
                            .as("at once, at %s", time)
                            .singleElement()
                            .extracting(RoutedRequest::getStack)
                            .isEqualTo(stack);
                    harness.getOutput().clear();
                }
            }
            harness.processElement1(RouterHarness.request("c", "1"), 15);
            assertThat(harness.extractOutputValues())
                    .as("the routes of another key are gone")
                    .singleElement()
                    .extracting(RoutedRequest::getStack)
                    .isEqualTo("default");
            harness.processBothWatermarks(Watermark.MAX_WATERMARK);
            assertThat(harness.extractOutputValues()).hasSize(1);
        }
    }
}
