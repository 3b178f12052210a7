package dev.kleinscope.report;

import dev.kleinscope.analysis.Channels;
import dev.kleinscope.analysis.ChannelsSummary;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What is said of {@link Channels} over forwards, as a tree for {@link Json}. */
final class ChannelsData {

    /** Channels and tokens told of a stream; the CSV has all. */
    private static final int MOST_TOLD = 16;

    private ChannelsData() {
    }

    /** For the page's scripts. */
    static Map<String, Object> page(Channels channels) {
        Map<String, Object> data = common(channels);
        data.put("axis", channels.blocks().stream().map(NormsData::axisLabel).distinct().toList());
        data.put("summaries", channels.summaries().stream().map(summary -> {
            Map<String, Object> entry = summary(summary);
            entry.put("label", NormsData.axisLabel(summary.point()));
            entry.put("onAxis", channels.blocks().contains(summary.point()));
            return entry;
        }).toList());
        return data;
    }

    /** {@code schema} and all that the page has but its axis. */
    static Map<String, Object> document(Channels channels) {
        Map<String, Object> document = new LinkedHashMap<>();
        document.put("schema", ChannelsReport.SCHEMA);
        document.putAll(common(channels));
        document.put("summaries", channels.summaries().stream().map(ChannelsData::summary).toList());
        return document;
    }

    private static Map<String, Object> common(Channels channels) {
        Map<String, Object> data = new LinkedHashMap<>();
        data.put("prompts", channels.prompts());
        data.put("parameters", channels.parameters());
        data.put("finding", channels.finding());
        data.put("limits", channels.limits());
        data.put("top", channels.top());
        data.put("criterion", Map.of("magnitude", channels.massive().magnitude(), "ratio", channels.massive().ratio(),
                "text", channels.massive().describe()));
        return data;
    }

    private static Map<String, Object> summary(ChannelsSummary summary) {
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("point", summary.point());
        entry.put("stream", summary.stream());
        entry.put("forwards", summary.forwards());
        entry.put("width", summary.width());
        entry.put("norm", Json.rounded(summary.norm()));
        entry.put("norm_without_top", Json.rounded(summary.normWithoutTop()));
        entry.put("share", Json.rounded(summary.share()));
        entry.put("massive", summary.massive());
        entry.put("norm_without_massive", Json.rounded(summary.normWithoutMassive()));
        entry.put("channels", recurring(summary.channels(), true));
        entry.put("tokens", recurring(summary.tokens(), false));
        return entry;
    }

    private static List<Object> recurring(List<ChannelsSummary.Recurring> all, boolean channel) {
        List<Object> told = new ArrayList<>();
        for (ChannelsSummary.Recurring each : all.subList(0, Math.min(MOST_TOLD, all.size()))) {
            Map<String, Object> entry = new LinkedHashMap<>();
            entry.put("index", each.index());
            if (!channel) {
                entry.put("text", each.text());
            }
            entry.put("forwards", each.forwards());
            entry.put("share", Json.rounded(each.share()));
            entry.put("times_median", Json.rounded(each.timesMedian()));
            if (channel) {
                entry.put("massive", each.massive());
            }
            told.add(entry);
        }
        return told;
    }
}
