package io.llamafu.examples;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.flink.Answered;
import io.llamafu.flink.Llamafu;
import io.llamafu.flink.OnError;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * Answers tickets by a stack in production and, for some of the keys, by one that might replace it. The answers are judged
 * in the same job, and the decision goes to the topic from which the job has its rule.
 */
@Command(name = "CanaryJob")
public final class CanaryJob {
    @Mixin
    private final KafkaConnections kafka = new KafkaConnections();

    @Mixin
    private final ModelOptions model = new ModelOptions();

    @Option(names = "--current", paramLabel = "STACK", required = true)
    private String current;

    @Option(names = "--candidate", paramLabel = "STACK", required = true)
    private String candidate;

    @Option(names = "--minimum", paramLabel = "N", required = true)
    private int minimum;

    /** Starts the job. Its tickets and rules have no end. */
    static JobClient start(String[] arguments) throws Exception {
        CanaryJob job = CommandLine.populateCommand(new CanaryJob(), arguments);
        StreamExecutionEnvironment env = job.kafka.environment();
        job.build(env);
        return env.executeAsync("canary");
    }

    public static void main(String[] arguments) throws Exception {
        start(arguments).getJobExecutionResult().get();
    }

    private void build(StreamExecutionEnvironment env) {
        DataStream<Ticket> tickets = env.fromSource(
                        kafka.records(KafkaTopics.TICKETS, JsonValue.of(Ticket.class)),
                        WatermarkStrategy.noWatermarks(),
                        "tickets")
                .uid("tickets");
        DataStream<CanaryRule> rules = env.fromSource(
                        kafka.routes(KafkaTopics.RULES, JsonValue.of(CanaryRule.class)),
                        WatermarkStrategy.noWatermarks(),
                        "rules")
                .uid("rules")
                .setParallelism(1);

        DataStream<Answered<Ticket>> answers = Llamafu.complete(tickets)
                .keyBy(Ticket::tenant)
                // The variant is chosen by a hash of the id. So all tickets of a tenant are answered by the same stack.
                .id(Ticket::tenant)
                .prompt(Ticket::text)
                .rules(rules.map(CanaryRule::toRouteRule))
                // Until the rule has arrived.
                .defaultRoute(AdapterStack.parse(current))
                .with(model.toLlamafuOptions(OnError.EMIT))
                .buildWithRecords();
        answers.map((Answered<Ticket> answered) -> JsonLines.write(EnrichedTicket.of(answered)))
                .name("answers as JSON")
                .sinkTo(kafka.sink(KafkaTopics.ANSWERS, new SimpleStringSchema()))
                .name("answers")
                .uid("answers");

        // All answers in one place, since both stacks are judged together.
        answers.keyBy(answered -> CanaryRule.NAME)
                .process(new CanaryJudge(current, candidate, minimum))
                .name("judge")
                .uid("judge")
                .map((CanaryRule rule) -> JsonLines.write(rule))
                .sinkTo(kafka.sink(KafkaTopics.RULES, new SimpleStringSchema()))
                .name("decision")
                .uid("decision");
    }
}
