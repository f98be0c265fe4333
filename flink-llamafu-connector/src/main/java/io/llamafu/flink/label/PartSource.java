package io.llamafu.flink.label;

import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.util.InstantiationUtil;

import javax.annotation.Nullable;
import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** Gives each subtask the next serialized {@link Part} when it asks for one, so that all end at about the same time. */
final class PartSource implements Source<byte[], PartSource.Split, PartSource.Remaining> {
    private static final long serialVersionUID = 1L;

    private final List<Part> parts;

    PartSource(List<Part> parts) {
        this.parts = List.copyOf(parts);
    }

    record Split(Part part) implements SourceSplit, Serializable {
        @Override
        public String splitId() {
            return part.name();
        }
    }

    record Remaining(List<Part> parts) implements Serializable {}

    @Override
    public Boundedness getBoundedness() {
        return Boundedness.BOUNDED;
    }

    @Override
    public SplitEnumerator<Split, Remaining> createEnumerator(SplitEnumeratorContext<Split> context) {
        return new Enumerator(context, parts);
    }

    @Override
    public SplitEnumerator<Split, Remaining> restoreEnumerator(
            SplitEnumeratorContext<Split> context, Remaining remaining) {
        return new Enumerator(context, remaining.parts());
    }

    @Override
    public SourceReader<byte[], Split> createReader(SourceReaderContext context) {
        return new Reader(context);
    }

    @Override
    public SimpleVersionedSerializer<Split> getSplitSerializer() {
        return new JavaSerializer<>();
    }

    @Override
    public SimpleVersionedSerializer<Remaining> getEnumeratorCheckpointSerializer() {
        return new JavaSerializer<>();
    }

    private static final class Enumerator implements SplitEnumerator<Split, Remaining> {
        private final SplitEnumeratorContext<Split> context;
        private final Deque<Part> remaining;

        private Enumerator(SplitEnumeratorContext<Split> context, Collection<Part> parts) {
            this.context = context;
            this.remaining = new ArrayDeque<>(parts);
        }

        @Override
        public void start() {}

        @Override
        public void handleSplitRequest(int subtask, @Nullable String host) {
            if (!context.registeredReaders().containsKey(subtask)) {
                return;
            }
            if (remaining.isEmpty()) {
                context.signalNoMoreSplits(subtask);
            } else {
                context.assignSplit(new Split(remaining.removeFirst()), subtask);
            }
        }

        @Override
        public void addSplitsBack(List<Split> splits, int subtask) {
            splits.forEach(split -> remaining.addFirst(split.part()));
        }

        @Override
        public void addReader(int subtask) {}

        @Override
        public Remaining snapshotState(long checkpoint) {
            return new Remaining(new ArrayList<>(remaining));
        }

        @Override
        public void close() {}
    }

    /** For the task's thread. */
    private static final class Reader implements SourceReader<byte[], Split> {
        private final SourceReaderContext context;
        private final Deque<Split> splits = new ArrayDeque<>();
        private boolean noMore = false;
        private CompletableFuture<Void> available = new CompletableFuture<>();

        private Reader(SourceReaderContext context) {
            this.context = context;
        }

        @Override
        public void start() {
            context.sendSplitRequest();
        }

        @Override
        public InputStatus pollNext(ReaderOutput<byte[]> output) throws IOException {
            Split next = splits.pollFirst();
            if (next != null) {
                output.collect(InstantiationUtil.serializeObject(next.part()));
                context.sendSplitRequest();
            }
            if (!splits.isEmpty()) {
                return InputStatus.MORE_AVAILABLE;
            }
            if (noMore) {
                return InputStatus.END_OF_INPUT;
            }
            available = new CompletableFuture<>();
            return InputStatus.NOTHING_AVAILABLE;
        }

        @Override
        public List<Split> snapshotState(long checkpoint) {
            return List.copyOf(splits);
        }

        @Override
        public CompletableFuture<Void> isAvailable() {
            return available;
        }

        @Override
        public void addSplits(List<Split> added) {
            splits.addAll(added);
            available.complete(null);
        }

        @Override
        public void notifyNoMoreSplits() {
            noMore = true;
            available.complete(null);
        }

        @Override
        public void close() {}
    }

    private static final class JavaSerializer<T extends Serializable> implements SimpleVersionedSerializer<T> {
        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(T value) throws IOException {
            return InstantiationUtil.serializeObject(value);
        }

        @Override
        public T deserialize(int version, byte[] serialized) throws IOException {
            try {
                return InstantiationUtil.deserializeObject(serialized, PartSource.class.getClassLoader());
            } catch (ClassNotFoundException e) {
                throw new IOException(e);
            }
        }
    }
}
