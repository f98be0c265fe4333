package io.llamafu.flink.label;

import com.fasterxml.jackson.databind.JsonNode;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.flink.artifact.SmallFile;

import java.io.IOException;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.PriorityQueue;
import java.util.TreeMap;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * Rows for people: from each label the same number, those of the lowest confidence first, in the format that Label Studio
 * imports; and back, from one of its two JSON exports.
 *
 * @param store of the output
 */
record Review(LabelStore store) {
    static final String JUDGEMENT = "gold.json";
    private static final String TASKS = "review.json";
    private static final String CONFIG = "review-config.xml";
    private static final int MOST_FILE_BYTES = 1 << 30;
    /** More than that, and the choices fill more than a screen. */
    private static final int MOST_CHOICES = 500;

    /** A row that may be sampled. */
    private record Candidate(String part, int row, Answer answer) {
        /** The lowest first; without a confidence in a random order that is always the same. */
        double rank() {
            return answer.confidence() != null
                    ? answer.confidence()
                    : 1 + Math.abs((double) String.valueOf(answer.key()).hashCode());
        }
    }

    private record Task(double rank, Map<String, Object> json) {}

    private static final class Stratum {
        private long rows;
        private final PriorityQueue<Candidate> lowest =
                new PriorityQueue<>(Comparator.comparingDouble(Candidate::rank).reversed());
        private List<Candidate> taken = List.of();
    }

    /** Writes the sample into the folder of the report. */
    void write(int rows, InputPlan plan, LabelSettings settings) {
        boolean labelled = settings.task() == LabelTask.CLASSIFY;
        Map<String, Stratum> strata = strata(rows, plan, labelled);
        take(rows, strata);
        Map<String, Map<Integer, Candidate>> byPart = new HashMap<>();
        strata.values()
                .forEach(stratum -> stratum.taken.forEach(
                        candidate -> byPart.computeIfAbsent(candidate.part(), any -> new TreeMap<>())
                                .put(candidate.row(), candidate)));
        List<Task> found = new ArrayList<>();
        for (Part part : plan.parts()) {
            if (byPart.containsKey(part.name())) {
                addTasks(part, byPart.get(part.name()), strata, settings, labelled, found);
            }
        }
        List<Map<String, Object>> tasks = found.stream()
                .sorted(Comparator.comparingDouble(Task::rank))
                .map(Task::json)
                .toList();
        store.write(
                Report.file(store, TASKS),
                out -> out.write(Json.MAPPER.writerWithDefaultPrettyPrinter().writeValueAsBytes(tasks)));
        store.write(
                Report.file(store, CONFIG),
                out -> out.write(config(settings, labelled).getBytes(UTF_8)));
    }

    private Map<String, Stratum> strata(int rows, InputPlan plan, boolean labelled) {
        Map<String, Stratum> strata = new TreeMap<>();
        for (Part part : plan.parts()) {
            Optional<PartLedger.Header> header = PartLedger.header(store, part.name());
            if (header.isEmpty() || !header.get().digest().equals(part.digest())) {
                continue;
            }
            List<Answer> answers = PartLedger.rows(store, header.get());
            for (int row = 0; row < answers.size(); row++) {
                Answer answer = answers.get(row);
                if (answer.answer() == null) {
                    continue;
                }
                Stratum stratum = strata.computeIfAbsent(labelled ? answer.answer() : "", any -> new Stratum());
                stratum.rows++;
                stratum.lowest.add(new Candidate(part.name(), row, answer));
                if (stratum.lowest.size() > rows) {
                    stratum.lowest.poll();
                }
            }
        }
        return strata;
    }

    /** One of each label in turn. */
    private static void take(int rows, Map<String, Stratum> strata) {
        int left = rows;
        int each = 0;
        while (left > 0) {
            int before = left;
            for (Stratum stratum : strata.values()) {
                if (left > 0 && stratum.lowest.size() > each) {
                    left--;
                    stratum.taken = lowest(stratum, each + 1);
                }
            }
            each++;
            if (left == before) {
                break;
            }
        }
    }

    private static List<Candidate> lowest(Stratum stratum, int count) {
        return stratum.lowest.stream()
                .sorted(Comparator.comparingDouble(Candidate::rank))
                .limit(count)
                .toList();
    }

    private static void addTasks(
            Part part,
            Map<Integer, Candidate> candidates,
            Map<String, Stratum> strata,
            LabelSettings settings,
            boolean labelled,
            List<Task> tasks) {
        try (RowReader reader = settings.format().read(part.file(), settings.delimiter(), part.from())) {
            for (int i = 0; i < part.rows(); i++) {
                Row row = reader.next();
                if (row == null) {
                    break;
                }
                Candidate candidate = candidates.get(i);
                if (candidate != null) {
                    Stratum stratum = strata.get(labelled ? candidate.answer().answer() : "");
                    tasks.add(new Task(
                            candidate.rank(),
                            task(part, candidate, settings.prompt().shown(row), stratum, labelled)));
                }
            }
        } catch (IOException e) {
            throw InputPlan.unavailable(part.file().path().getPath(), e);
        }
    }

    private static Map<String, Object> task(
            Part part, Candidate candidate, String text, Stratum stratum, boolean labelled) {
        Answer answer = candidate.answer();
        Map<String, Object> data = new LinkedHashMap<>();
        data.put("text", Answer.wellFormed(text));
        data.put("answer", answer.answer());
        data.put("confidence", answer.confidence());
        data.put("stack", answer.stack());
        data.put("part", candidate.part());
        data.put("row", candidate.row());
        data.put("digest", part.digest());
        data.put("weight", (double) stratum.rows / stratum.taken.size());
        Map<String, Object> value =
                labelled ? Map.of("choices", List.of(answer.answer())) : Map.of("text", List.of(answer.answer()));
        Map<String, Object> prediction = new LinkedHashMap<>();
        prediction.put("model_version", "llamafu");
        if (answer.confidence() != null) {
            prediction.put("score", answer.confidence());
        }
        prediction.put(
                "result",
                List.of(Map.of(
                        "from_name",
                        "label",
                        "to_name",
                        "text",
                        "type",
                        labelled ? "choices" : "textarea",
                        "value",
                        value)));
        Map<String, Object> task = new LinkedHashMap<>();
        task.put("data", data);
        task.put("predictions", List.of(prediction));
        return task;
    }

    /** The labelling interface for Label Studio. */
    private static String config(LabelSettings settings, boolean labelled) {
        StringBuilder config = new StringBuilder("<View>\n  <Text name=\"text\" value=\"$text\"/>\n");
        if (labelled && settings.options().labels().labels().size() <= MOST_CHOICES) {
            config.append("  <Choices name=\"label\" toName=\"text\" choice=\"single\">\n");
            settings.options()
                    .labels()
                    .labels()
                    .forEach(label -> config.append("    <Choice value=\"%s\"/>\n"
                            .formatted(label.replace("&", "&amp;")
                                    .replace("<", "&lt;")
                                    .replace("\"", "&quot;"))));
            config.append("  </Choices>\n");
        } else {
            config.append("  <TextArea name=\"label\" toName=\"text\"/>\n");
        }
        return config.append("</View>\n").toString();
    }

    /**
     * What people say.
     *
     * @param sample of the reviewed rows
     * @param estimate of the accuracy of all rows: each label weighted by its rows
     * @param earlier rows that have changed since the review; their answers at that time count
     * @param confusion by the right answer, then by the answer given
     */
    record Judgement(Accuracy sample, double estimate, int earlier, Map<String, Map<String, Long>> confusion) {}

    /** Compares with an export, and returns the exit code. */
    int judge(String location, PrintStream out) {
        JsonNode tasks;
        try {
            tasks = Json.MAPPER.readTree(
                    SmallFile.read(LabelOption.GOLD.key(), location, MOST_FILE_BYTES, ErrorCode.INVALID_OPTION));
        } catch (IOException e) {
            throw notGold(location, e.getMessage());
        }
        Map<String, Map<String, Long>> confusion = new TreeMap<>();
        Map<String, List<Answer>> ledgers = new HashMap<>();
        double weights = 0;
        double right = 0;
        int earlier = 0;
        for (JsonNode task : tasks) {
            JsonNode data = task.has("data") ? task.get("data") : task;
            Optional<String> gold = gold(task);
            if (gold.isEmpty() || !data.has("answer")) {
                continue;
            }
            Optional<String> now = answerNow(data, ledgers);
            earlier += now.isEmpty() ? 1 : 0;
            String answer = now.orElse(data.get("answer").asText());
            double weight = data.path("weight").asDouble(1);
            weights += weight;
            right += answer.equals(gold.get()) ? weight : 0;
            confusion.computeIfAbsent(gold.get(), any -> new TreeMap<>()).merge(answer, 1L, Long::sum);
        }
        if (confusion.isEmpty()) {
            throw notGold(location, "it has no reviewed row of --review");
        }
        Judgement judgement = new Judgement(Accuracy.of(confusion), right / weights, earlier, confusion);
        byte[] json = Json.write(judgement);
        store.write(Report.file(store, JUDGEMENT), stream -> stream.write(json));
        Report.last(store).ifPresent(last -> Report.writeHtml(store, last));
        out.println(new String(json, UTF_8));
        return LabelJob.ANSWERED;
    }

    private static LlamafuException notGold(String location, String why) {
        return LabelArguments.invalid(
                "--gold is '%s', which is no JSON export of Label Studio for rows of --review: %s."
                        .formatted(location, why));
    }

    /** The answer that the row has now, if the rows of its part are still those that were reviewed. */
    private Optional<String> answerNow(JsonNode data, Map<String, List<Answer>> ledgers) {
        String part = data.path("part").asText("");
        int row = data.path("row").asInt(-1);
        if (part.isEmpty() || part.contains("..")) {
            return Optional.empty();
        }
        List<Answer> answers = ledgers.computeIfAbsent(
                part + "\0" + data.path("digest").asText(""), any -> PartLedger.header(store, part)
                        .filter(header ->
                                header.digest().equals(data.path("digest").asText("")))
                        .map(header -> PartLedger.rows(store, header))
                        .orElse(List.of()));
        return row >= 0 && row < answers.size()
                ? Optional.of(String.valueOf(
                        Optional.ofNullable(answers.get(row).answer()).orElse("")))
                : Optional.empty();
    }

    /** The last annotation of the export JSON, or the field of JSON_MIN. */
    private static Optional<String> gold(JsonNode task) {
        Optional<String> gold = Optional.empty();
        for (JsonNode annotation : task.path("annotations")) {
            if (!annotation.path("was_cancelled").asBoolean(false)) {
                for (JsonNode result : annotation.path("result")) {
                    JsonNode value = result.path("value");
                    gold = first(value.has("choices") ? value.get("choices") : value.path("text"));
                }
            }
        }
        return task.has("label") ? first(task.get("label")) : gold;
    }

    private static Optional<String> first(JsonNode value) {
        JsonNode text = value.isArray()
                ? value.path(0)
                : value.has("choices") ? value.get("choices").path(0) : value;
        return text.isTextual() ? Optional.of(text.textValue()) : Optional.empty();
    }
}
