package io.llamafu.examples.soak;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.examples.JsonLines;
import io.llamafu.examples.KafkaConnections;
import io.llamafu.examples.ModelOptions;
import io.llamafu.flink.AdapterRoute;
import io.llamafu.flink.CompletionStreams;
import io.llamafu.flink.Llamafu;
import io.llamafu.flink.OnError;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.Collector;
import org.apache.flink.util.function.SerializableFunction;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

import javax.annotation.Nullable;
import java.io.IOException;
import java.time.Duration;

/**
 * Answers the records of a topic, whatever they contain, under the routes of another topic. Answers, dead letters and
 * rejected route changes go to three topics, exactly once. {@link SoakExample} submits it to a cluster.
 */
@Command(name = "SoakJob")
public final class SoakJob {
    /** The most by which a record arrives after records with later event times. */
    static final Duration OUT_OF_ORDERNESS = Duration.ofMillis(500);

    /** Flink's value for a missing timestamp. */
    private static final long NO_TIMESTAMP = Long.MIN_VALUE;

    @Mixin
    private final KafkaConnections kafka = new KafkaConnections();

    @Mixin
    private final ModelOptions model = new ModelOptions();

    /** Runs in the JobManager, so it throws errors instead of exiting. */
    public static void main(String[] arguments) throws Exception {
        SoakJob job = CommandLine.populateCommand(new SoakJob(), arguments);
        StreamExecutionEnvironment env = job.kafka.environment();
        job.build(env);
        env.execute("soak");
    }

    private void build(StreamExecutionEnvironment env) {
        DataStream<SoakRecord> records = env.fromSource(
                        kafka.records(SoakTopics.RECORDS, new ReadRecord()),
                        WatermarkStrategy.<SoakRecord>forBoundedOutOfOrderness(OUT_OF_ORDERNESS)
                                .withTimestampAssigner((record, time) ->
                                        record.eventTime() == null ? NO_TIMESTAMP : record.eventTime()),
                        "records")
                .uid("records");
        DataStream<AdapterRoute> routes = env.fromSource(
                        kafka.routes(SoakTopics.ROUTES, new ReadRoute()),
                        WatermarkStrategy.<RouteChange>forMonotonousTimestamps()
                                .withTimestampAssigner((route, time) -> route.eventTime()),
                        "routes")
                .uid("routes")
                .setParallelism(1)
                .map(RouteChange::toAdapterRoute)
                .name("route changes")
                .setParallelism(1);

        CompletionStreams<SoakRecord> streams = Llamafu.complete(records)
                .keyBy(SoakJob::key)
                .id(SoakRecord::id)
                .prompt(SoakRecord::text)
                .stack(SoakRecord::stack)
                .scales(SoakRecord::scales)
                .sampling(SoakJob::sampling)
                .maxTokens(SoakRecord::maxTokens)
                .routes(routes)
                .eventTime()
                .with(model.withoutMemo(OnError.EMIT))
                .buildStreams();
        sink(SoakTopics.ANSWERS, streams.answered(), Outcome::of);
        sink(SoakTopics.DEAD_LETTERS, streams.deadLetters(), Outcome::of);
        sink(
                SoakTopics.REJECTED_ROUTES,
                streams.rejectedRoutes().orElseThrow(),
                rejected -> new RejectedChange(
                        rejected.getChange().getValidFrom(),
                        rejected.getErrorCode(),
                        Outcome.shortened(rejected.getError())));
    }

    /** A record that could not be read throws its problem in the first function that reads a field. */
    @Nullable
    private static String key(SoakRecord record) {
        if (record.problem() != null) {
            throw new LlamafuException(ErrorCode.INVALID_TEXT, record.problem());
        }
        return record.key();
    }

    @Nullable
    private static SamplingOptions sampling(SoakRecord record) {
        return record.sampling() == null ? null : record.sampling().toOptions();
    }

    private <T> void sink(String topic, DataStream<T> stream, SerializableFunction<T, Object> line) {
        stream.sinkTo(kafka.sink(topic, new WriteJson<>(line))).name(topic).uid(topic);
    }

    private static final class ReadRecord implements KafkaRecordDeserializationSchema<SoakRecord> {
        private static final long serialVersionUID = 1L;

        @Override
        public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<SoakRecord> out) {
            out.collect(SoakRecord.read(record.key(), record.value()));
        }

        @Override
        public TypeInformation<SoakRecord> getProducedType() {
            return TypeInformation.of(SoakRecord.class);
        }
    }

    private static final class ReadRoute implements KafkaRecordDeserializationSchema<RouteChange> {
        private static final long serialVersionUID = 1L;

        @Override
        public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<RouteChange> out) throws IOException {
            out.collect(JsonLines.of(RouteChange.class).read(record.value()));
        }

        @Override
        public TypeInformation<RouteChange> getProducedType() {
            return TypeInformation.of(RouteChange.class);
        }
    }

    private static final class WriteJson<T> implements SerializationSchema<T> {
        private static final long serialVersionUID = 1L;

        private final SerializableFunction<T, Object> line;

        private WriteJson(SerializableFunction<T, Object> line) {
            this.line = line;
        }

        @Override
        public byte[] serialize(T value) {
            return AsciiJson.write(line.apply(value));
        }
    }
}
