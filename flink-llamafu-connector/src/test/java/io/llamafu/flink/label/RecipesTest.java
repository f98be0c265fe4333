package io.llamafu.flink.label;

import org.junit.jupiter.api.Test;
import org.snakeyaml.engine.v2.api.Load;
import org.snakeyaml.engine.v2.api.LoadSettings;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import static org.assertj.core.api.Assertions.assertThat;

/** The recipes of other schedulers: their commands are those of the job, and a run with wrong rows is not started again. */
class RecipesTest {
    private static final Path RECIPES = Path.of("../docs/labelling");
    private static final Pattern VERSION =
            Pattern.compile("<artifactId>llamafu-parent</artifactId>\\s*<version>(.*?)</version>");

    /** In the image, the jar has the version of the project in its name, see docker/Dockerfile. */
    private static String jarOfTheImage() throws IOException {
        Matcher version = VERSION.matcher(Files.readString(Path.of("../pom.xml")));
        assertThat(version.find()).isTrue();
        return "/opt/flink/lib/flink-llamafu-connector-%s.jar".formatted(version.group(1));
    }

    private static String read(String recipe) throws IOException {
        return Files.readString(RECIPES.resolve(recipe));
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> map(Map<String, Object> in, String... path) {
        Map<String, Object> found = in;
        for (String key : path) {
            assertThat(found).containsKey(key);
            found = (Map<String, Object>) found.get(key);
        }
        return found;
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> cronJob() throws IOException {
        String yaml = Files.readString(Path.of("../docker/kubernetes/labelling.yaml"));
        return (Map<String, Object>) new Load(LoadSettings.builder().build()).loadFromString(yaml);
    }

    @Test
    void kubernetesDoesNotRetryARunThatEndedByItself() throws IOException {
        Map<String, Object> job = map(cronJob(), "spec", "jobTemplate", "spec");

        assertThat(map(cronJob(), "spec")).containsEntry("concurrencyPolicy", "Forbid");
        // For pods that were killed; the first rule that fits a pod counts.
        assertThat((Integer) job.get("backoffLimit")).isPositive();
        assertThat(map(job, "podFailurePolicy").get("rules"))
                .isEqualTo(List.of(
                        Map.of(
                                "action",
                                "Ignore",
                                "onPodConditions",
                                List.of(Map.of("type", "DisruptionTarget", "status", "True"))),
                        Map.of(
                                "action",
                                "FailJob",
                                "onExitCodes",
                                Map.of("containerName", "label", "operator", "In", "values", List.of(1)))));
        // Kubernetes refuses the policy otherwise.
        assertThat(map(job, "template", "spec")).containsEntry("restartPolicy", "Never");
    }

    @Test
    @SuppressWarnings("unchecked")
    void kubernetesRunsTheJobOfTheImage() throws IOException {
        Map<String, Object> pod = map(cronJob(), "spec", "jobTemplate", "spec", "template", "spec");
        Map<String, Object> container = ((List<Map<String, Object>>) pod.get("containers")).get(0);
        List<String> command = (List<String>) container.get("args");

        assertThat(container).containsEntry("name", "label");
        assertThat(command).contains("--class=" + LabelJob.class.getName());
        assertThatOptionsAreTheJobs(command);
        // The tag of the image is the version in the name of its jar.
        String tag = String.valueOf(container.get("image")).replaceAll(".*:", "");
        assertThat(command).contains("/opt/flink/lib/flink-llamafu-connector-%s.jar".formatted(tag));
    }

    private static void assertThatOptionsAreTheJobs(List<String> command) throws IOException {
        List<String> jars =
                command.stream().filter(argument -> argument.endsWith(".jar")).toList();
        assertThat(jars).containsExactly(jarOfTheImage());
        LabelArguments arguments =
                LabelArguments.parse(command.subList(command.indexOf(jars.get(0)) + 1, command.size())
                        .toArray(String[]::new));
        LabelSettings unused = LabelSettings.of(arguments, LabelFormat.JSONL);
    }

    @Test
    void airflowRetriesOnlyARunThatWasKilled() throws IOException {
        String dag = read("airflow_dag.py");
        Matcher command =
                Pattern.compile("COMMAND = \\[(.*?)\\n]", Pattern.DOTALL).matcher(dag);

        assertThat(command.find()).isTrue();
        List<String> arguments = Pattern.compile("\"([^\"]*)\"")
                .matcher(command.group(1))
                .results()
                .map(found -> found.group(1))
                .toList();
        assertThat(arguments).containsSubsequence("flink", "run", "-c", LabelJob.class.getName(), "--config");
        assertThat(arguments)
                .filteredOn(argument -> argument.endsWith(".jar"))
                .singleElement()
                .isEqualTo(jarOfTheImage());
        assertThat(dag)
                .contains("max_active_runs=1", "\"retries\": 3")
                .containsPattern("if code == 1:[^\\n]*\\n\\s+raise AirflowFailException\\(");
    }

    @Test
    void systemdRetriesOnlyARunThatWasKilled() throws IOException {
        String unit = read("llamafu-label.service");

        assertThat(unit.lines())
                .contains(
                        "Restart=on-failure",
                        "RestartPreventExitStatus=%d %d %d"
                                .formatted(LabelJob.FAILED, LabelJob.WRONG_OPTIONS, LabelJob.BUSY),
                        "ExecStart=/opt/llamafu/examples/run label --config /etc/llamafu/label.properties");
        assertThat(read("llamafu-label.timer")).contains("OnCalendar=", "WantedBy=timers.target");
        assertThat(read("crontab").lines().filter(line -> !line.startsWith("#")))
                .singleElement()
                .satisfies(line -> assertThat(line).matches("30 2 \\* \\* \\*  .*/examples/run label --config .*"));
    }
}
