package io.llamafu.examples;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.flink.AdapterRoute;
import io.llamafu.flink.Completion;
import io.llamafu.flink.CompletionBuilder;
import io.llamafu.flink.Llamafu;
import io.llamafu.flink.OnError;
import org.apache.flink.api.common.JobExecutionResult;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.api.common.accumulators.LongCounter;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichFilterFunction;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.connector.file.src.FileSource;
import org.apache.flink.connector.file.src.reader.StreamFormat;
import org.apache.flink.core.fs.Path;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.filesystem.OutputFileConfig;
import org.apache.flink.streaming.api.functions.sink.filesystem.bucketassigners.BasePathBucketAssigner;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import javax.annotation.Nullable;
import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * Labels the tickets of Avro or Parquet files in batch mode, for a scheduler such as cron, which reads the exit code.
 * The output appears as a whole, only if the job succeeds.
 */
@Command(
        name = "examples/run label-files",
        description = {
            "Labels the tickets of files, as a batch job.",
            "Exit code: 0 if every ticket was answered; 1 if one was not, or the job failed; 2 for wrong arguments."
        },
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false)
public final class LabelFilesJob implements Callable<Integer> {
    private static final String COMPLETIONS = "completions";
    private static final String ERRORS = "errors";

    @Parameters(
            index = "0",
            paramLabel = "INPUT",
            description = {
                "Tickets: a file or a folder of files in that format,",
                "or a .jsonl file with the fields of examples/data/tickets.jsonl."
            })
    private java.nio.file.Path input;

    @Parameters(
            index = "1",
            paramLabel = "OUTPUT",
            description = "A folder for the completions; it must be new or empty.")
    private java.nio.file.Path output;

    @Option(
            names = "--format",
            paramLabel = "FORMAT",
            required = true,
            description = "Format of input and output: ${COMPLETION-CANDIDATES}; case does not matter.")
    private LabelFileFormat format;

    @Option(
            names = "--routes",
            paramLabel = "FILE",
            description = "The routes, as JSON lines: which tenant wants which adapters from when. Without it,"
                    + " --stack answers all tickets.")
    @Nullable
    private java.nio.file.Path routes;

    @Option(
            names = "--stack",
            paramLabel = "STACK",
            defaultValue = "",
            description =
                    "The stack of tickets without a route, such as 'medical+formal:0.5'; empty is the base model.")
    private String stack;

    @Mixin
    private final ModelOptions model = new ModelOptions();

    @Option(names = "--parallelism", paramLabel = "N", defaultValue = "2", description = "Subtasks of each operator.")
    private int parallelism;

    public static void main(String[] arguments) {
        Examples.runAndExit("label-files", new LabelFilesJob(), arguments);
    }

    @Override
    public Integer call() throws Exception {
        LabelReport report = run();
        System.out.println(JsonLines.write(report));
        return report.isSound() ? 0 : 1;
    }

    LabelReport run() throws Exception {
        ModelOptions.requireReadable(routes == null ? List.of(input) : List.of(input, routes));
        model.requireReadable();
        requireEmpty(output);

        StreamExecutionEnvironment env = environment();
        build(env);
        JobExecutionResult result = env.execute("label files");
        return new LabelReport(
                result.<Long>getAccumulatorResult(COMPLETIONS),
                result.<Long>getAccumulatorResult(ERRORS),
                result.getNetRuntime(TimeUnit.MILLISECONDS) / 1000.0);
    }

    /** A repeated run must not add its completions to those of the first. */
    private static void requireEmpty(java.nio.file.Path folder) throws IOException {
        if (Files.exists(folder)) {
            try (Stream<java.nio.file.Path> files = Files.list(folder)) {
                if (files.findAny().isPresent()) {
                    throw new IOException(
                            "The output folder " + folder + " is not empty. Name a new one for each run.");
                }
            }
        }
    }

    private StreamExecutionEnvironment environment() {
        Configuration configuration = new Configuration();
        configuration.set(ExecutionOptions.RUNTIME_MODE, RuntimeExecutionMode.BATCH);
        // No record may fall back to Kryo.
        configuration.set(PipelineOptions.GENERIC_TYPES, false);
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(configuration);
        env.setParallelism(parallelism);
        return env;
    }

    private void build(StreamExecutionEnvironment env) {
        CompletionBuilder<TicketRecord> completions = Llamafu.complete(tickets(env))
                .id(TicketRecord::getId)
                .prompt(TicketRecord::getText)
                .defaultRoute(AdapterStack.parse(stack))
                .with(model.toLlamafuOptions(OnError.EMIT));
        if (routes != null) {
            completions
                    .keyBy(TicketRecord::getTenant)
                    .routes(routes(env, routes))
                    .eventTime();
        }
        completions.build().filter(new Count()).name("count").sinkTo(sink());
    }

    private DataStream<TicketRecord> tickets(StreamExecutionEnvironment env) {
        DataStream<TicketRecord> tickets = input.toString().endsWith(".jsonl")
                ? read(env, JsonLines.of(Ticket.class), input, "tickets")
                        .map(Ticket::toRecord)
                        .returns(new AvroTypeInfo<>(TicketRecord.class))
                : read(env, format.tickets(), input, "tickets");
        return tickets.assignTimestampsAndWatermarks(WatermarkStrategy.<TicketRecord>noWatermarks()
                .withTimestampAssigner((ticket, time) -> ticket.getEventTime()));
    }

    /** Without timestamps; {@code validFrom} says when a change applies. */
    private static DataStream<AdapterRoute> routes(StreamExecutionEnvironment env, java.nio.file.Path file) {
        return read(env, JsonLines.of(Route.class), file, "routes").map(Route::toAdapterRoute);
    }

    private static <T> DataStream<T> read(
            StreamExecutionEnvironment env, StreamFormat<T> format, java.nio.file.Path file, String name) {
        return env.fromSource(
                FileSource.forRecordStreamFormat(format, new Path(file.toUri())).build(),
                WatermarkStrategy.noWatermarks(),
                name);
    }

    private FileSink<Completion> sink() {
        return FileSink.forBulkFormat(new Path(output.toUri()), format.completions())
                .withBucketAssigner(new BasePathBucketAssigner<>())
                .withOutputFileConfig(OutputFileConfig.builder()
                        .withPartPrefix("completions")
                        .withPartSuffix(format.suffix())
                        .build())
                .build();
    }

    /** Forwards everything. */
    private static final class Count extends RichFilterFunction<Completion> {
        private static final long serialVersionUID = 1L;

        private final LongCounter completions = new LongCounter();
        private final LongCounter errors = new LongCounter();

        @Override
        public void open(OpenContext context) {
            getRuntimeContext().addAccumulator(COMPLETIONS, completions);
            getRuntimeContext().addAccumulator(ERRORS, errors);
        }

        @Override
        public boolean filter(Completion completion) {
            LongCounter counter = completion.getErrorCode() == null ? completions : errors;
            counter.add(1L);
            return true;
        }
    }
}
