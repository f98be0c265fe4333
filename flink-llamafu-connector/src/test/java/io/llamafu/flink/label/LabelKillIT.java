package io.llamafu.flink.label;

import io.llamafu.flink.Notes;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * A job whose process is killed loses no answer that it has, and with {@code deterministic} it writes the bytes of an undisturbed
 * one. {@code -Dllamafu.label.tickets=5000 -Dllamafu.label.kills=10} is the long form, with every format.
 */
class LabelKillIT {
    private static final int TICKETS = Integer.getInteger("llamafu.label.tickets", 300);
    private static final int KILLS = Integer.getInteger("llamafu.label.kills", 2);
    private static final int FILES = 50;
    private static final int PARALLEL = 16;
    private static final List<String> STACKS = List.of("medical", "legal", "finance", "medical+formal", "legal+formal");
    private static final List<String> TEXTS = List.of("--max-tokens=48");
    /** Labels whose probabilities, which depend on the last bits of the logits, are in the output and the ledger. */
    private static final List<String> LABELS = List.of(
            "--labels=orthopedics;cardiology;contracts;invoices;invoices due",
            "--scoring=exact",
            "--packed-weights=true",
            "--deterministic=true");

    @TempDir
    Path folder;

    static Stream<Arguments> forms() {
        Stream<Arguments> labels = Stream.of(Arguments.of(LabelFormat.JSONL, hasKernels() ? LABELS : TEXTS));
        return TICKETS > 1000
                ? Stream.concat(Stream.of(LabelFormat.values()).map(format -> Arguments.of(format, TEXTS)), labels)
                : labels;
    }

    /** Elsewhere {@code deterministic} is refused. */
    private static boolean hasKernels() {
        return System.getProperty("os.arch").equals("amd64");
    }

    @ParameterizedTest
    @MethodSource("forms")
    void killedRunsEndAsAnUndisturbedOne(LabelFormat format, List<String> task) throws Exception {
        Path input = Files.createDirectory(folder.resolve("input"));
        List<TicketFiles.Ticket> tickets = tickets();
        int each = TICKETS / FILES;
        for (int file = 0; file < FILES; file++) {
            TicketFiles.write(
                    format,
                    input.resolve("tickets-%02d%s".formatted(file, format.suffix())),
                    tickets.subList(file * each, (file + 1) * each));
        }
        Path undisturbed = folder.resolve("undisturbed");
        assertThat(start(task, input, undisturbed).waitFor()).as(this::log).isZero();
        long tokens = answers(undisturbed).values().stream()
                .mapToLong(Answer::generatedTokens)
                .sum();
        Path killed = folder.resolve("killed");
        Random random = new Random(7);
        Set<String> answered = new HashSet<>();
        long paid = 0;
        for (int kill = 0; kill < KILLS; kill++) {
            Process process = start(task, input, killed);
            int total = answers(undisturbed).size();
            int target = answered.size() + random.nextInt(Math.max(1, 2 * (total - answered.size()) / (KILLS - kill)));
            while (process.isAlive() && answers(killed).size() <= target) {
                Thread.sleep(20);
            }
            Thread.sleep(random.nextInt(50));
            process.destroyForcibly();
            assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
            paid += newTokens(killed, answered);
        }
        assertThat(start(task, input, killed).waitFor()).as(this::log).isZero();
        paid += newTokens(killed, answered);
        // Besides, what was being decoded when a process ended: at most a whole answer of mean length in each slot.
        long lost = (long) KILLS * PARALLEL * tokens / ((long) FILES * each);

        assertThat(rows(format, killed)).isEqualTo(rows(format, undisturbed)).hasSize(FILES * each);
        if (task.equals(LABELS)) {
            assertThat(bytes(killed)).isEqualTo(bytes(undisturbed)).hasSize(FILES);
            assertThat(probabilities(killed)).isEqualTo(probabilities(undisturbed));
        }
        assertThat(paid).isEqualTo(tokens);
        System.out.printf(
                "%s %s: %d rows, %d tokens undisturbed, %d with %d kills and at most %d more (%.3f)%n",
                format, task, FILES * each, tokens, paid, KILLS, lost, (double) (paid + lost) / tokens);
        if (TICKETS > 1000) {
            assertThat(paid + lost).isLessThanOrEqualTo(Math.round(1.05 * tokens));
        }
        assertThat(start(task, input, killed).waitFor()).as(this::log).isZero();
        assertThat(newTokens(killed, answered)).isZero();
    }

    private static List<TicketFiles.Ticket> tickets() {
        List<TicketFiles.Ticket> tickets = new ArrayList<>();
        List<String> texts = Notes.texts();
        for (int i = 0; i < TICKETS; i++) {
            int round = i / texts.size();
            String text = texts.get(i % texts.size());
            // Each question once, whatever is remembered within a run.
            tickets.add(new TicketFiles.Ticket(
                    i, round < STACKS.size() ? text : text + " No. " + round, STACKS.get(round % STACKS.size())));
        }
        return tickets;
    }

    private Path logFile() {
        return folder.resolve("log");
    }

    private String log() {
        try {
            return Files.readString(logFile());
        } catch (IOException e) {
            return e.toString();
        }
    }

    private Process start(List<String> task, Path input, Path output) throws IOException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx512m",
                "--add-opens=java.base/java.lang=ALL-UNNAMED",
                "--add-opens=java.base/java.util=ALL-UNNAMED",
                "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                LabelJob.class.getName(),
                "--input=" + input,
                "--output=" + output,
                "--model=" + TinyModel.model().toAbsolutePath(),
                "--adapters=" + TinyModel.adapters().toAbsolutePath(),
                "--prompt-template=" + TinyModel.prompt("{text}"),
                "--text-field=text",
                "--stack-field=wanted",
                "--parallel-sequences=" + PARALLEL,
                "--threads=1"));
        command.addAll(task);
        return new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(logFile().toFile()))
                .start();
    }

    /** All answers that are kept anywhere, by key. */
    private static Map<String, Answer> answers(Path output) {
        LabelStore store = new LabelStore(output.toUri().toString());
        Map<String, Answer> answers = new HashMap<>();
        for (String folder : List.of("ledger", "journal")) {
            store.files(store.hidden(folder)).forEach(file -> store.lines(file.getPath(), Integer.MAX_VALUE).stream()
                    .filter(line -> line.startsWith("{\"k\"") && line.endsWith("}"))
                    .forEach(line -> {
                        Answer answer = Json.read(line, Answer.class);
                        answers.put(answer.key(), answer);
                    }));
        }
        return answers;
    }

    private static long newTokens(Path output, Set<String> answered) {
        long tokens = 0;
        for (Map.Entry<String, Answer> answer : answers(output).entrySet()) {
            if (answered.add(answer.getKey())) {
                tokens += answer.getValue().generatedTokens();
            }
        }
        return tokens;
    }

    /** Of all labels of the answers, by key. */
    private static Map<String, List<Double>> probabilities(Path output) {
        Map<String, List<Double>> probabilities = new HashMap<>();
        answers(output).forEach((key, answer) -> probabilities.put(key, answer.probabilities()));
        return probabilities;
    }

    /** The files of the output by name. */
    private static Map<String, String> bytes(Path output) throws IOException {
        Map<String, String> bytes = new HashMap<>();
        try (Stream<Path> files = Files.list(output)) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                bytes.put(file.getFileName().toString(), Files.readString(file));
            }
        }
        return bytes;
    }

    private static List<Map<String, Object>> rows(LabelFormat format, Path output) throws IOException {
        List<Map<String, Object>> rows = new ArrayList<>();
        try (Stream<Path> files = Files.list(output)) {
            for (Path file : files.filter(Files::isRegularFile).sorted().toList()) {
                rows.addAll(TicketFiles.read(format, file));
            }
        }
        return rows;
    }
}
