package io.llamafu.examples;

import io.llamafu.examples.cluster.BuildOutput;
import io.llamafu.examples.cluster.LocalCluster;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;

/** Starts a session cluster and a SQL gateway, runs the scripts in the SQL client, and checks its output. */
@Command(
        name = "examples/run sql",
        description = "Runs the scripts of examples/sql in Flink's SQL client: the functions, CREATE MODEL"
                + " with ML_PREDICT, and stacks from a table.",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false)
public final class SqlExample implements Callable<Integer> {
    private static final List<String> SCRIPTS = List.of("functions", "models", "routes");

    @Option(
            names = "--examples",
            paramLabel = "FOLDER",
            defaultValue = "${sys:llamafu.examples:-examples}",
            description = "The folder that contains sql, data and models.")
    private Path examples;

    @Option(
            names = "--script",
            paramLabel = "NAME",
            split = ",",
            description = "The scripts to run: functions, models, routes. Default: all.")
    private List<String> names = SCRIPTS;

    @Option(
            names = "--add-jar",
            description = "Adds Llamafu's jar with ADD JAR in each script, instead of putting it into Flink's lib"
                    + " folder.")
    private boolean addJar;

    @Option(
            names = "--out",
            paramLabel = "FOLDER",
            defaultValue = "${sys:llamafu.examples:-examples}/target/sql",
            description = "Parent folder; each run creates new folders for the answers and the logs of the cluster.")
    private Path out;

    @Option(
            names = "--timeout",
            paramLabel = "SECONDS",
            defaultValue = "300",
            description = "Time limit for each script.")
    private long timeout;

    /**
     * The result of a script.
     *
     * @param checks the comparisons made
     * @param failures the differences found
     */
    record ScriptReport(String script, int checks, List<String> failures, double seconds) {}

    public static void main(String[] arguments) {
        Examples.runAndExit("sql", new SqlExample(), arguments);
    }

    @Override
    public Integer call() throws Exception {
        List<ScriptReport> reports = run();
        reports.forEach(report -> System.out.println(JsonLines.write(report)));
        return reports.stream().allMatch(report -> report.failures().isEmpty()) ? 0 : 1;
    }

    List<ScriptReport> run() throws Exception {
        System.err.println("Starting a Flink cluster and a SQL gateway in " + out);
        List<ScriptReport> reports = new ArrayList<>();
        LocalCluster.Builder builder = LocalCluster.builder(out).slots(4);
        if (!addJar) {
            builder.library(BuildOutput.llamafuJar());
        }
        try (LocalCluster cluster = builder.start()) {
            cluster.startSqlGateway();
            for (String name : names) {
                reports.add(run(cluster, name));
            }
        }
        return reports;
    }

    private ScriptReport run(LocalCluster cluster, String name) throws Exception {
        Path folder = Files.createTempDirectory(out.toAbsolutePath(), name + "-");
        String script = Files.readString(examples.resolve("sql").resolve(name + ".sql"));
        Map<String, Path> folders = Map.of("examples", examples.toAbsolutePath(), "out", folder);
        String first = addJar ? "ADD JAR '%s';%n".formatted(BuildOutput.llamafuJar()) : "";
        Path filledIn = Files.writeString(folder.resolve(name + ".sql"), first + SqlScript.fillIn(script, folders));

        long start = System.nanoTime();
        String printed = cluster.runSql(filledIn, Duration.ofSeconds(timeout));
        double seconds = Duration.ofNanos(System.nanoTime() - start).toMillis() / 1000.0;
        System.out.println(printed);
        List<SqlScript.Check> checks = SqlScript.checks(script);
        return new ScriptReport(name, checks.size(), SqlScript.compare(checks, printed), seconds);
    }
}
