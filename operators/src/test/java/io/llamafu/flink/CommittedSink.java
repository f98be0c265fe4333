package io.llamafu.flink;

import org.apache.flink.api.connector.sink2.Committer;
import org.apache.flink.api.connector.sink2.CommitterInitContext;
import org.apache.flink.api.connector.sink2.CommittingSinkWriter;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SupportsCommitter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.util.InstantiationUtil;

import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;

/**
 * A transactional sink: records become visible exactly once, when their checkpoint is complete.
 *
 * @param name whose records {@link #committed} returns
 */
record CommittedSink(String name) implements Sink<Completion>, SupportsCommitter<CommittedSink.Transaction> {
    private static final Map<String, Map<UUID, List<Completion>>> COMMITTED = new ConcurrentHashMap<>();

    record Transaction(UUID id, ArrayList<Completion> completions) implements Serializable {}

    static CommittedSink create() {
        CommittedSink sink = new CommittedSink(UUID.randomUUID().toString());
        COMMITTED.put(sink.name(), Collections.synchronizedMap(new LinkedHashMap<>()));
        return sink;
    }

    /** In the order of the commits. */
    List<Completion> committed() {
        Map<UUID, List<Completion>> transactions = COMMITTED.get(name);
        synchronized (transactions) {
            return transactions.values().stream().flatMap(List::stream).toList();
        }
    }

    @Override
    public CommittingSinkWriter<Completion, Transaction> createWriter(WriterInitContext context) {
        return new Writer();
    }

    @Override
    public Committer<Transaction> createCommitter(CommitterInitContext context) {
        Map<UUID, List<Completion>> committed = COMMITTED.get(name);
        return new Committer<>() {
            @Override
            public void commit(Collection<CommitRequest<Transaction>> requests) {
                for (CommitRequest<Transaction> request : requests) {
                    Transaction transaction = request.getCommittable();
                    if (committed.putIfAbsent(transaction.id(), transaction.completions()) != null) {
                        request.signalAlreadyCommitted();
                    }
                }
            }

            @Override
            public void close() {}
        };
    }

    @Override
    public SimpleVersionedSerializer<Transaction> getCommittableSerializer() {
        return new TransactionSerializer();
    }

    private static final class Writer implements CommittingSinkWriter<Completion, Transaction> {
        private ArrayList<Completion> written = new ArrayList<>();

        @Override
        public void write(Completion completion, Context context) {
            written.add(completion);
        }

        @Override
        public void flush(boolean endOfInput) {}

        @Override
        public Collection<Transaction> prepareCommit() {
            if (written.isEmpty()) {
                return List.of();
            }
            Transaction transaction = new Transaction(UUID.randomUUID(), written);
            written = new ArrayList<>();
            return List.of(transaction);
        }

        @Override
        public void close() {}
    }

    private static final class TransactionSerializer implements SimpleVersionedSerializer<Transaction> {
        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(Transaction transaction) throws IOException {
            return InstantiationUtil.serializeObject(transaction);
        }

        @Override
        public Transaction deserialize(int version, byte[] serialized) throws IOException {
            try {
                return InstantiationUtil.deserializeObject(serialized, CommittedSink.class.getClassLoader());
            } catch (ClassNotFoundException e) {
                throw new IOException(e);
            }
        }
    }
}
