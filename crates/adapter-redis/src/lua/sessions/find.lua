-- The live session of a token.
local ref = opened(take())
return ref and shown(ref) or false
