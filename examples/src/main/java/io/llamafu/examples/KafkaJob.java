package io.llamafu.examples;

import io.llamafu.flink.Completion;
import io.llamafu.flink.Llamafu;
import io.llamafu.flink.OnError;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

import java.nio.charset.StandardCharsets;

/**
 * Answers the tickets of a topic under the routes of another one, exactly once. A job for a real cluster: {@link
 * KafkaExample} starts one and submits it.
 *
 * <p>The streams of the example end at given offsets, and so does the job. For endless streams, leave {@code
 * setBounded} out and give the routes {@code WatermarkStrategy.withIdleness}.
 */
@Command(name = "KafkaJob")
public final class KafkaJob {
    @Mixin
    private final KafkaConnections kafka = new KafkaConnections();

    @Mixin
    private final ModelOptions model = new ModelOptions();

    /** Runs in the JobManager, so it throws errors instead of exiting. */
    public static void main(String[] arguments) throws Exception {
        KafkaJob job = CommandLine.populateCommand(new KafkaJob(), arguments);
        StreamExecutionEnvironment env = job.kafka.environment();
        job.build(env);
        env.execute("tickets from Kafka");
    }

    private void build(StreamExecutionEnvironment env) {
        DataStream<Ticket> tickets = env.fromSource(
                        kafka.records(KafkaTopics.TICKETS, JsonValue.of(Ticket.class)),
                        TicketWatermarks.strategy(),
                        "tickets")
                .uid("tickets");
        DataStream<Route> routes = env.fromSource(
                        kafka.routes(KafkaTopics.ROUTES, JsonValue.of(Route.class)),
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
                .sinkTo(kafka.sink(KafkaTopics.ANSWERS, new AnswerValue()))
                .name("answers")
                .uid("answers");
    }

    private static final class AnswerValue implements SerializationSchema<Completion> {
        private static final long serialVersionUID = 1L;

        @Override
        public byte[] serialize(Completion completion) {
            return JsonLines.write(Answer.of(completion)).getBytes(StandardCharsets.UTF_8);
        }
    }
}
