package io.llamafu.examples.benchmark;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.llamafu.examples.benchmark.Competitor.Query;
import io.llamafu.examples.benchmark.Competitor.Times;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import javax.xml.parsers.DocumentBuilderFactory;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/** The figures and output of a benchmark. */
class BenchmarkOutputTest {
    private static final Result MIXED =
            new Result(Result.DECODE, NativeEngine.MIXED.title(), "135M", 8, 16, 16, 300.04, 0.96, 0.81, 2.5, null);

    @TempDir
    private Path folder;

    @Test
    void decodeSpeedLeavesOutPrefillAndFirstTokens() throws Exception {
        Workload workload = new Workload(4, 2, 10, 11);

        Workload.Speed speed = workload.measure(new SteadyEngine(), 1);

        // 4 x 10 prompt tokens in a second; 4 x 10 tokens after the first ones, in two seconds
        assertThat(speed.prefill()).isCloseTo(40, within(1e-6));
        assertThat(speed.decode()).isCloseTo(20, within(1e-6));
    }

    @Test
    void jsonHasTheDocumentedFields() throws Exception {
        Path file = folder.resolve("results.json");

        Results.writeJson(List.of(MIXED), file);

        JsonNode result = new ObjectMapper().readTree(file.toFile()).get(0);
        assertThat(result.path("case").asText()).isEqualTo("decode");
        assertThat(result.path("engine").asText()).isEqualTo("native, mixed");
        assertThat(result.path("tokensPerSecond").asDouble()).isEqualTo(300.04);
        assertThat(result.path("ratioToHomogeneous").asDouble()).isEqualTo(0.96);
        assertThat(result.has("ratioToBatchedBench")).isFalse();
    }

    @Test
    void tableRowsHaveAsManyCellsAsItsHead() {
        List<Long> cells = Results.markdown(List.of(MIXED))
                .lines()
                .map(BenchmarkOutputTest::cells)
                .distinct()
                .toList();

        assertThat(cells).hasSize(1);
    }

    @Test
    void otherTablesHaveAsManyCellsAsTheirHeads() {
        String affinity = AffinityResult.markdown(List.of(new AffinityResult("affinity", 0.95, 0.9, 1.1, 1.2, 100)));
        String pipeline =
                PipelineResult.markdown(List.of(new PipelineResult("135M", 16, 2, 160, 64, 32, 5.2, 5.1, 0.981, 30)));

        for (String table : List.of(affinity, pipeline)) {
            assertThat(table.lines().map(BenchmarkOutputTest::cells).distinct()).hasSize(1);
        }
    }

    @Test
    void chartIsXml() throws Exception {
        String svg = Results.chart("Speed <& more>", List.of(MIXED)).svg();

        DocumentBuilderFactory.newInstance()
                .newDocumentBuilder()
                .parse(new ByteArrayInputStream(svg.getBytes(StandardCharsets.UTF_8)));
        assertThat(svg).contains("native, mixed, 8 adapters", ">300<");
    }

    @Test
    void batchedBenchResultIsFoundAmongItsOutput() throws Exception {
        Workload.Speed speed = BatchedBench.speed(
                """
                main: n_kv_max = 4096

                |    PP |     TG |    B |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |      T s |    S t/s |
                |-------|--------|------|--------|----------|----------|----------|----------|----------|----------|
                |   128 |     64 |   16 |   3072 |    3.148 |   650.50 |    3.301 |   310.25 |    6.449 |   476.35 |
                """);

        assertThat(speed).isEqualTo(new Workload.Speed(650.5, 310.25));
    }

    @Test
    void llamaBenchResultIsFoundAmongItsOutput() throws Exception {
        assertThat(LlamaBench.speed("[{\"n_prompt\": 512, \"avg_ts\": 684.5, \"stddev_ts\": 0.0}]\n"))
                .isEqualTo(684.5);
    }

    @Test
    void medianOfAnEvenNumberIsTheMeanOfTheMiddle() {
        assertThat(Contest.median(4, 1, 3, 100)).isEqualTo(3.5);
    }

    private static long cells(String line) {
        return line.chars().filter(character -> character == '|').count();
    }

    /** Takes a second for the prompts and two for the rest of the answers. */
    private static final class SteadyEngine implements Competitor {
        private static final long SECOND = 1_000_000_000L;

        @Override
        public List<Times> answer(List<Query> queries) {
            return IntStream.range(0, queries.size())
                    .mapToObj(index -> new Times(index, SECOND, 3 * SECOND))
                    .toList();
        }

        @Override
        public void close() {
            // Holds nothing.
        }
    }
}
