package io.llamafu.examples;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.SharedEngines;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.GlobalConfiguration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.runtime.clusterframework.TaskExecutorProcessUtils;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import static org.assertj.core.api.Assertions.assertThat;

class SizeTest {
    private static final Path MODELS = Path.of(System.getProperty("basedir", "."), "models");
    private static final Path MODEL = MODELS.resolve("tiny-notes-q8_0.gguf");

    private final StringWriter output = new StringWriter();

    @TempDir
    private Path folder;

    @Test
    void figuresAreWhatIsAllocatedAndTheOptionsAreEnough() {
        assertThat(run("--sequences", "4", "--context", "512", "--adapters", "4", "--rank", "4"))
                .isZero();

        EngineOptions options = EngineOptions.builder(MODEL)
                .adapters(MODELS.resolve("adapters"))
                .threads(1)
                .parallelSequences(4)
                .contextSize(512)
                .memoryBudget(option("memory-budget"))
                .adapterMemoryBudget(option("adapters.memory-budget"))
                .idleTimeout(Duration.ZERO)
                .build();
        try (SharedEngines.Lease lease = SharedEngines.acquire(options)) {
            InferenceEngine engine = lease.engine();
            engine.preload(AdapterStack.parse("medical+legal+finance+formal")).join();
            EngineMetrics.Memory memory = engine.metrics().memory();
            assertThat(bytes("weights")).isEqualTo(memory.model());
            assertThat(bytes("cache")).isEqualTo(memory.context());
            assertThat(bytes("scratch")).isEqualTo(memory.compute());
            assertThat(bytes("adapters")).isEqualTo(memory.adapters());
            assertThat(engine.metrics().adapters().resident()).isEqualTo(4);
        }
    }

    @Test
    void optionsOfFlinkCanBePasted() throws Exception {
        assertThat(run("--adapters", "50", "--rank", "16", "--task-heap", "300 mb", "--managed", "100 mb"))
                .isZero();
        String text = output.toString();
        String flink = text.substring(text.indexOf("# Flink"), text.indexOf("# Llamafu"));
        Files.writeString(folder.resolve("config.yaml"), flink);

        Configuration configuration = GlobalConfiguration.loadConfiguration(folder.toString());
        long process = TaskExecutorProcessUtils.processSpecFromConfig(configuration)
                .getTotalProcessMemorySize()
                .getBytes();
        assertThat(flink).contains("takes " + (long) Math.ceil(process / (double) (1 << 20)) + "mb");
        assertThat(option("taskmanager.memory.task.off-heap.size"))
                .isGreaterThan(bytes("weights") + bytes("cache") + bytes("scratch") + bytes("adapters"));
    }

    @Test
    void outputOfTheGuideIsThatOfItsCommand() throws Exception {
        String guide = Files.readString(MODELS.resolve("../../docs/configuration.md"));
        Matcher example = Pattern.compile("(?s)\\$ examples/run size --model \\S+ ([^\n]+)\n(.*?)```")
                .matcher(guide);
        assertThat(example.find()).isTrue();

        assertThat(run(example.group(1).split(" "))).isZero();
        assertThat(output).hasToString(example.group(2));
    }

    @Test
    void modulesMatter() {
        assertThat(run("--adapters", "1", "--rank", "4", "--modules", "attn_q,attn_v"))
                .isZero();
        assertThat(bytes("adapters")).isEqualTo(4 * 2 * 4 * (128 + 128 + 128 + 64));
    }

    private long bytes(String name) {
        return Long.parseLong(found("(?m)^" + name + " +(\\d+) bytes$"));
    }

    private long option(String key) {
        return MemorySize.parse(found("(?m)^" + Pattern.quote(key) + ": (\\w+)$"))
                .getBytes();
    }

    private String found(String pattern) {
        Matcher matcher = Pattern.compile(pattern).matcher(output.toString());
        assertThat(matcher.find()).as(pattern + " in " + output).isTrue();
        return matcher.group(1);
    }

    private int run(String... options) {
        CommandLine size = new CommandLine(new Size()).setOut(new PrintWriter(output, true));
        String[] arguments = new String[options.length + 2];
        arguments[0] = "--model";
        arguments[1] = MODEL.toString();
        System.arraycopy(options, 0, arguments, 2, options.length);
        return size.execute(arguments);
    }
}
