package io.llamafu.examples;

import io.llamafu.flink.Completion;
import io.llamafu.flink.Llamafu;
import io.llamafu.flink.OnError;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;

/**
 * Answers the tickets of a topic under the routes of another one, exactly once. A job for a real cluster: {@link
 * KafkaExample} starts one and submits it.
 *
 * <p>The streams of the example end at given offsets, and so does the job. For endless streams, leave {@code
 * setBounded} out and give the routes {@code WatermarkStrategy.withIdleness}.
 */
@Command(name = "KafkaJob")
public final class KafkaJob {
    @Option(names = "--bootstrap-servers", paramLabel = "HOST:PORT", required = true)
    private String bootstrapServers;

    @Option(names = "--tickets-end", paramLabel = "PARTITION=OFFSET", split = ",", required = true)
    private Map<Integer, Long> ticketsEnd;

    @Option(names = "--routes-end", paramLabel = "PARTITION=OFFSET", split = ",", required = true)
    private Map<Integer, Long> routesEnd;

    @Option(names = "--parallelism", paramLabel = "N", required = true)
    private int parallelism;

    @Option(names = "--checkpoint-interval", paramLabel = "MILLIS", required = true)
    private long checkpointInterval;

    @Mixin
    private final ModelOptions model = new ModelOptions();

    /** Runs in the JobManager, so it throws errors instead of exiting. */
    public static void main(String[] arguments) throws Exception {
        KafkaJob job = CommandLine.populateCommand(new KafkaJob(), arguments);
        StreamExecutionEnvironment env = job.environment();
        job.build(env);
        env.execute("tickets from Kafka");
    }

    private StreamExecutionEnvironment environment() {
        Configuration configuration = new Configuration();
        configuration.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(checkpointInterval));
        // Tickets queue before the model, and an aligned checkpoint would wait for all of them.
        configuration.set(CheckpointingOptions.ENABLE_UNALIGNED, true);
        // No record may fall back to Kryo.
        configuration.set(PipelineOptions.GENERIC_TYPES, false);
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(configuration);
        env.setParallelism(parallelism);
        return env;
    }

    private void build(StreamExecutionEnvironment env) {
        DataStream<Ticket> tickets = env.fromSource(
                        source(KafkaTopics.TICKETS, ticketsEnd, Ticket.class), TicketWatermarks.strategy(), "tickets")
                .uid("tickets");
        DataStream<Route> routes = env.fromSource(
                        source(KafkaTopics.ROUTES, routesEnd, Route.class),
                        WatermarkStrategy.<Route>forMonotonousTimestamps()
                                .withTimestampAssigner((route, time) -> route.eventTime()),
                        "routes")
                .uid("routes")
                .setParallelism(1);

        Llamafu.complete(tickets)
                .keyBy(Ticket::tenant)
                .id(Ticket::id)
                .prompt(Ticket::text)
                .routes(routes.map(Route::toAdapterRoute))
                .eventTime()
                .with(model.toLlamafuOptions(OnError.EMIT))
                .build()
                .sinkTo(new KafkaConnections(bootstrapServers).sink(KafkaTopics.ANSWERS, new AnswerValue()))
                .name("answers")
                .uid("answers");
    }

    private <T> KafkaSource<T> source(String topic, Map<Integer, Long> ends, Class<T> type) {
        return new KafkaConnections(bootstrapServers)
                .source(topic, ends, KafkaRecordDeserializationSchema.valueOnly(new JsonValue<>(type)));
    }

    private static final class JsonValue<T> extends AbstractDeserializationSchema<T> {
        private static final long serialVersionUID = 1L;

        private final JsonLines<T> json;

        private JsonValue(Class<T> type) {
            super(type);
            this.json = JsonLines.of(type);
        }

        @Override
        public T deserialize(byte[] value) throws IOException {
            return json.read(value);
        }
    }

    private static final class AnswerValue implements SerializationSchema<Completion> {
        private static final long serialVersionUID = 1L;

        @Override
        public byte[] serialize(Completion completion) {
            return JsonLines.write(Answer.of(completion)).getBytes(StandardCharsets.UTF_8);
        }
    }
}
