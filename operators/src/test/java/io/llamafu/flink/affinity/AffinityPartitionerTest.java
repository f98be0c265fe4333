package io.llamafu.flink.affinity;

import io.llamafu.flink.routing.RequestOnly;
import io.llamafu.flink.routing.RoutedRequest;
import org.apache.flink.runtime.plugable.SerializationDelegate;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.util.InstantiationUtil;
import org.junit.jupiter.api.Test;

import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

class AffinityPartitionerTest {
    private static final int SUBTASKS = 100;

    @Test
    void scalesAndTheOrderOfAdaptersMakeNoDifference() {
        AffinityPartitioner<RoutedRequest> partitioner = partitioner();

        assertThat(channel(partitioner, "medical:0.5+formal"))
                .isEqualTo(channel(partitioner, "medical+formal:0.7"))
                .isEqualTo(channel(partitioner, "formal+medical"))
                .isNotEqualTo(channel(partitioner, "medical"));
    }

    @Test
    void recordsOfTheBaseModelGoWhereThereIsLeastToDo() {
        AffinityPartitioner<RoutedRequest> partitioner = partitioner();

        assertThat(IntStream.range(0, SUBTASKS).map(index -> channel(partitioner, "")))
                .doesNotHaveDuplicates();
    }

    @Test
    void recordsThatCannotBeAnsweredPass() {
        AffinityPartitioner<RoutedRequest> partitioner = partitioner();
        RoutedRequest failed = request("medical");
        failed.setErrorCode("INVALID_REQUEST");

        assertThat(channel(partitioner, failed)).isBetween(0, SUBTASKS - 1);
        assertThat(channel(partitioner, "not:a:stack")).isBetween(0, SUBTASKS - 1);
    }

    @Test
    void everySenderHasItsOwn() throws Exception {
        AffinityPartitioner<RoutedRequest> used = partitioner();
        IntStream.range(0, 1000).forEach(index -> channel(used, "medical"));

        AffinityPartitioner<RoutedRequest> sent = InstantiationUtil.clone(used);
        sent.setup(SUBTASKS);

        assertThat(sent).isEqualTo(used).hasSameHashCodeAs(used);
        assertThat(channel(sent, "medical")).isEqualTo(channel(partitioner(), "medical"));
        assertThat(used.copy()).isNotSameAs(used).isInstanceOf(AffinityPartitioner.class);
    }

    /** Flink would align checkpoints, or restore in-flight records to all subtasks that might get them. */
    @Test
    void checkpointsMayOvertakeTheRecordsBeforeTheModel() {
        assertThat(partitioner().isSupportsUnalignedCheckpoint()).isTrue();
        assertThat(partitioner().getDownstreamSubtaskStateMapper().isAmbiguous())
                .isFalse();
    }

    @Test
    void boundBelowTheMeanIsRefused() {
        for (double bound : new double[] {1, -1, Double.NaN}) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> new AffinityPartitioner<>(bound, new RequestOnly<>()))
                    .withMessage(
                            "The load bound of the affinity is %s, but must be above 1: it is a multiple of the mean load.",
                            bound);
        }
    }

    private static AffinityPartitioner<RoutedRequest> partitioner() {
        AffinityPartitioner<RoutedRequest> partitioner = new AffinityPartitioner<>(1.25, new RequestOnly<>());
        partitioner.setup(SUBTASKS);
        return partitioner;
    }

    private static int channel(AffinityPartitioner<RoutedRequest> partitioner, String stack) {
        return channel(partitioner, request(stack));
    }

    private static int channel(AffinityPartitioner<RoutedRequest> partitioner, RoutedRequest request) {
        SerializationDelegate<StreamRecord<RoutedRequest>> record = new SerializationDelegate<>(null);
        record.setInstance(new StreamRecord<>(request));
        return partitioner.selectChannel(record);
    }

    private static RoutedRequest request(String stack) {
        return RoutedRequest.newBuilder().setStack(stack).build();
    }
}
