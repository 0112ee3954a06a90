-- Of the tag itself: in a Cluster each lies somewhere else.
return { on(tag) }
