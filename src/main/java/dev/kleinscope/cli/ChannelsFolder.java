package dev.kleinscope.cli;

import dev.kleinscope.analysis.ChannelCell;
import dev.kleinscope.analysis.ChannelsProtocol;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;

/** A journal of the runs that are measured, by which an interrupted command goes on. */
final class ChannelsFolder implements ChannelsProtocol.Store {

    private record Run(int prompt, long seed, List<ChannelCell> cells) {
    }

    private final Journal journal;
    private final Map<String, List<ChannelCell>> finished = new HashMap<>();

    ChannelsFolder(Path folder, Map<String, Object> parameters) {
        journal = new Journal(folder.resolve("channels.journal"), parameters);
        for (JsonNode entry : journal.entries()) {
            try {
                Run run = Journal.JSON.treeToValue(entry, Run.class);
                if (run.cells != null) {
                    finished.put(key(run.prompt, run.seed), run.cells);
                }
            } catch (JacksonException _) {
                // measured again instead
            }
        }
    }

    int resumed() {
        return finished.size();
    }

    @Override
    public List<ChannelCell> finished(int prompt, long seed) {
        return finished.get(key(prompt, seed));
    }

    @Override
    public void keep(int prompt, long seed, List<ChannelCell> cells) {
        journal.append(new Run(prompt, seed, cells));
    }

    void done() {
        journal.done();
    }

    private static String key(int prompt, long seed) {
        return prompt + " " + seed;
    }
}
