package io.llamafu.examples.benchmark;

import io.llamafu.flink.AdapterRoute;
import io.llamafu.flink.Completion;
import io.llamafu.flink.Llamafu;
import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.TableResult;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.types.Row;
import org.apache.flink.util.CollectionUtil;

import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** The same requests as a DataStream job and as SQL, each in its own cluster, all on one engine in this JVM. */
final class SqlContest {
    private static final double MILLIS_PER_SECOND = 1000;

    private final LlamafuOptions options;
    private final int requests;
    private final int tokens;
    private final int adapters;

    /** One measurement; prompts differ by seed, so that no prefix cache has them. */
    @FunctionalInterface
    interface Run {
        double tokensPerSecond(long seed) throws Exception;
    }

    /**
     * The requests.
     *
     * @param tokens of each prompt and each answer
     * @param adapters assigned to the requests in turn
     */
    SqlContest(LlamafuOptions options, int requests, int tokens, int adapters) {
        this.options = options;
        this.requests = requests;
        this.tokens = tokens;
        this.adapters = adapters;
    }

    /** Creates the requests of a subtask. */
    private record Requests(long seed, int tokens, int adapters) implements MapFunction<Long, Row> {
        private static final TypeInformation<Row> TYPE =
                Types.ROW_NAMED(new String[] {"prompt", "stack"}, Types.STRING, Types.STRING);

        @Override
        public Row map(Long index) {
            return Row.of(RandomVocabulary.prompt(tokens, seed * 100_000 + index), RandomModels.adapterName((int)
                    (index % adapters)));
        }
    }

    private StreamExecutionEnvironment environment(int parallelism) {
        return StreamExecutionEnvironment.createLocalEnvironment(parallelism, new Configuration());
    }

    private DataStream<Row> requests(StreamExecutionEnvironment environment, long seed) {
        return environment
                .fromSequence(0, requests - 1L)
                .map(new Requests(seed, tokens, adapters))
                .returns(Requests.TYPE);
    }

    /**
     * One subtask. A DataStream job takes its stacks from routes: each adapter is the route of the key with its name.
     */
    double dataStream(long seed) throws Exception {
        StreamExecutionEnvironment environment = environment(1);
        AdapterRoute[] routes = IntStream.range(0, adapters)
                .mapToObj(RandomModels::adapterName)
                .map(name -> new AdapterRoute(name, name, 0L, null))
                .toArray(AdapterRoute[]::new);
        DataStream<Completion> completions = Llamafu.complete(requests(environment, seed)
                        .assignTimestampsAndWatermarks(WatermarkStrategy.<Row>forMonotonousTimestamps()
                                .withTimestampAssigner((row, time) -> 1)))
                .keyBy(row -> row.getFieldAs("stack"))
                .prompt(row -> row.getFieldAs("prompt"))
                .routes(environment
                        .fromData(TypeInformation.of(AdapterRoute.class), routes)
                        .assignTimestampsAndWatermarks(WatermarkStrategy.<AdapterRoute>forMonotonousTimestamps()
                                .withTimestampAssigner((route, time) -> route.getValidFrom())))
                .eventTime()
                .with(options)
                .build();
        Iterator<Completion> results = completions.collectAsync();
        JobClient job = environment.executeAsync();
        long answered = CollectionUtil.iteratorToList(results).stream()
                .mapToLong(Completion::getGeneratedTokens)
                .sum();
        return speed(answered, job);
    }

    /** One subtask, with as many records in flight as the DataStream job. */
    double mlPredict(long seed) throws Exception {
        StreamTableEnvironment sql = sql(1, seed);
        Map<String, String> model = new HashMap<>(options.toMap());
        model.put("provider", "llamafu");
        sql.executeSql("CREATE TEMPORARY MODEL m INPUT (text STRING, adapters STRING) OUTPUT (generated_tokens INT) "
                + with(model));
        return speed(sql.executeSql(
                "SELECT SUM(generated_tokens) FROM ML_PREDICT(TABLE requests, MODEL m, DESCRIPTOR(prompt, stack),"
                        + " MAP['max-concurrent-operations', '%d', 'timeout', '1 h'])"
                                .formatted(2 * options.parallelSequences())));
    }

    /**
     * Each subtask has one record in flight. The function that reports its generated tokens costs the same as others.
     */
    double function(int parallelism, long seed) throws Exception {
        StreamTableEnvironment sql = sql(parallelism, seed);
        sql.executeSql("LOAD MODULE llamafu " + with(options.toMap()));
        return speed(sql.executeSql("SELECT SUM(LLM_TRY_COMPLETE(prompt, stack).generated_tokens) FROM requests"));
    }

    private StreamTableEnvironment sql(int parallelism, long seed) {
        StreamExecutionEnvironment environment = environment(parallelism);
        StreamTableEnvironment sql = StreamTableEnvironment.create(environment);
        sql.createTemporaryView("requests", requests(environment, seed));
        return sql;
    }

    private static String with(Map<String, String> options) {
        return options.entrySet().stream()
                .map(option -> "'%s' = '%s'"
                        .formatted(option.getKey(), option.getValue().replace("'", "''")))
                .collect(Collectors.joining(", ", "WITH (", ")"));
    }

    /** The last row has the total. */
    private double speed(TableResult result) throws Exception {
        List<Row> rows = CollectionUtil.iteratorToList(result.collect());
        Number answered = rows.get(rows.size() - 1).getFieldAs(0);
        return speed(answered.longValue(), result.getJobClient().orElseThrow());
    }

    private double speed(long answered, JobClient job) throws Exception {
        long expected = (long) requests * tokens;
        if (answered != expected) {
            throw new IllegalStateException("The answers have %d tokens instead of %d.".formatted(answered, expected));
        }
        long millis = job.getJobExecutionResult().get().getNetRuntime(TimeUnit.MILLISECONDS);
        return answered / (millis / MILLIS_PER_SECOND);
    }
}
