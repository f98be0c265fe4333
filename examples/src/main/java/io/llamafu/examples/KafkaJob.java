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
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.common.TopicPartition;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * Answers the tickets of a topic under the routes of another, exactly once. A job for a real cluster: {@link KafkaExample}
 * starts one and submits it.
 *
 * <p>The streams of the example end, at offsets that are told, and with them the job. An endless one leaves
 * {@code setBounded} out and gives the routes {@code WatermarkStrategy.withIdleness}.
 */
@Command(name = "KafkaJob")
public final class KafkaJob {
    /** At most what the broker allows, and longer than a restart takes: then the transaction is lost with its answers. */
    private static final Duration TRANSACTION_TIMEOUT = Duration.ofMinutes(10);

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

    /** Runs in the JobManager, so it never exits: what is wrong is thrown. */
    public static void main(String[] arguments) throws Exception {
        KafkaJob job = CommandLine.populateCommand(new KafkaJob(), arguments);
        StreamExecutionEnvironment env = job.environment();
        job.build(env);
        env.execute("tickets from Kafka");
    }

    private StreamExecutionEnvironment environment() {
        Configuration configuration = new Configuration();
        configuration.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(checkpointInterval));
        // Tickets pile up before the model, and an aligned checkpoint would wait for all of them.
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
                .sinkTo(answers())
                .name("answers")
                .uid("answers");
    }

    private <T> KafkaSource<T> source(String topic, Map<Integer, Long> end, Class<T> type) {
        Map<TopicPartition, Long> offsets = end.entrySet().stream()
                .collect(Collectors.toMap(entry -> new TopicPartition(topic, entry.getKey()), Map.Entry::getValue));
        return KafkaSource.<T>builder()
                .setBootstrapServers(bootstrapServers)
                .setTopics(topic)
                .setGroupId("llamafu")
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setBounded(OffsetsInitializer.offsets(offsets))
                .setValueOnlyDeserializer(new JsonValue<>(type))
                .build();
    }

    /** Answers become visible to readers with isolation.level=read_committed when their checkpoint is complete. */
    private KafkaSink<Completion> answers() {
        return KafkaSink.<Completion>builder()
                .setBootstrapServers(bootstrapServers)
                .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                .setTransactionalIdPrefix("answers")
                .setProperty("transaction.timeout.ms", Long.toString(TRANSACTION_TIMEOUT.toMillis()))
                .setRecordSerializer(KafkaRecordSerializationSchema.<Completion>builder()
                        .setTopic(KafkaTopics.ANSWERS)
                        .setValueSerializationSchema(new AnswerValue())
                        .build())
                .build();
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
