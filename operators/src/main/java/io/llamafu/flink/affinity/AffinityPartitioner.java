package io.llamafu.flink.affinity;

import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.flink.routing.Carrier;
import io.llamafu.flink.routing.RoutedRequest;
import org.apache.flink.annotation.Internal;
import org.apache.flink.runtime.io.network.api.writer.SubtaskStateMapper;
import org.apache.flink.runtime.plugable.SerializationDelegate;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.transformations.PartitionTransformation;
import org.apache.flink.streaming.runtime.partitioner.StreamPartitioner;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;

import java.util.Objects;
import java.util.stream.Collectors;

import static org.apache.flink.util.Preconditions.checkArgument;
import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * Sends requests with the same adapters to few of the answering subtasks. Each sender has its own partitioner, whose
 * counts are not in checkpoints: after a failure, a replayed request may go to another subtask.
 *
 * <p>It implements Flink's internal {@code StreamPartitioner} instead of using {@code partitionCustom}, because Flink
 * aligns checkpoints for the latter, and an aligned checkpoint would wait until the requests queued before the model
 * are answered.
 *
 * @param <E> carries a request
 */
@Internal
public final class AffinityPartitioner<E> extends StreamPartitioner<E> {
    private static final long serialVersionUID = 1L;

    private final double loadBound;
    private final Carrier<?, E, ?> carrier;
    private transient StackAffinity affinity;

    /** @param loadBound the most records of a subtask, relative to the mean; above 1 */
    public AffinityPartitioner(double loadBound, Carrier<?, E, ?> carrier) {
        this.loadBound = checkLoadBound(loadBound);
        this.carrier = checkNotNull(carrier, "carrier is null");
    }

    /** Returns the bound if it is above 1. */
    public static double checkLoadBound(double loadBound) {
        checkArgument(
                loadBound > 1,
                "The load bound of the affinity is %s, but must be above 1: it is a multiple of the mean load.",
                loadBound);
        return loadBound;
    }

    /** The elements, distributed by this partitioner. */
    public DataStream<E> partition(DataStream<E> elements) {
        return new DataStream<>(
                elements.getExecutionEnvironment(), new PartitionTransformation<>(elements.getTransformation(), this));
    }

    @Override
    public void setup(int numberOfChannels) {
        super.setup(numberOfChannels);
        affinity = new StackAffinity(numberOfChannels, loadBound);
    }

    @Override
    public int selectChannel(SerializationDelegate<StreamRecord<E>> element) {
        return affinity.choose(adapters(carrier.request(element.getInstance().getValue())));
    }

    /** Without the scales, which do not affect what is in memory. */
    private static String adapters(RoutedRequest request) {
        if (request.getErrorCode() != null) {
            return StackAffinity.ANYWHERE;
        }
        try {
            return AdapterStack.parse(request.getStack()).entries().stream()
                    .map(AdapterStack.Entry::name)
                    .sorted()
                    .collect(Collectors.joining("+"));
        } catch (LlamafuException e) {
            // The answering subtask reports the error.
            return StackAffinity.ANYWHERE;
        }
    }

    @Override
    public StreamPartitioner<E> copy() {
        return new AffinityPartitioner<>(loadBound, carrier);
    }

    /** After a change of parallelism, it does not matter where the requests in flight go, only that each goes once. */
    @Override
    public SubtaskStateMapper getDownstreamSubtaskStateMapper() {
        return SubtaskStateMapper.ROUND_ROBIN;
    }

    @Override
    public boolean isPointwise() {
        return false;
    }

    @Override
    public boolean equals(Object other) {
        return super.equals(other) && other instanceof AffinityPartitioner<?> that && loadBound == that.loadBound;
    }

    @Override
    public int hashCode() {
        return Objects.hash(super.hashCode(), loadBound);
    }

    @Override
    public String toString() {
        return "AFFINITY";
    }
}
